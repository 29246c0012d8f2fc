// Objects that say what they are once their bytes are read: numbers of NumPy, dates.
#pragma once

#include "mlc/pickle/graph.h"

#include <cstdint>
#include <optional>
#include <string>

namespace mlc::pickle {

/// A scalar of NumPy, numpy.core.multiarray.scalar(dtype, bytes).
struct NumpyScalar {
  char kind = 'f';       // as in dtype.kind: b, i, u, f or c
  unsigned bits = 64;    // 128 for complex128
  uint64_t integer = 0;  // of b, i and u; two's complement
  double real = 0;       // of f and c
  double imaginary = 0;
};

/// The scalar at NODE; nothing for anything else, and for texts, dates and long doubles of NumPy.
std::optional<NumpyScalar> numpy_scalar(const Graph& graph, NodeId node);

/// A real number with the fewest digits that give it back in its type, as JSON and Python read it;
/// of floats "nan", "inf" and "-inf" too. Requires: no complex number.
std::string numpy_number(const NumpyScalar& scalar);

/// repr() of NumPy 2: np.float64(76.3), np.True_.
std::string numpy_repr(const NumpyScalar& scalar);

/// repr() of datetime.datetime or datetime.date at NODE, up to where a time zone would follow or
/// the bracket would close; nothing for anything else.
std::optional<std::string> open_date_repr(const Graph& graph, NodeId node);

}  // namespace mlc::pickle
