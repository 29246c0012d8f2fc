// The header of NumPy's .npy files (numpy/lib/format.py), read and written without evaluating it.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"
#include "mlc/tensor/dtype.h"
#include "mlc/tensor/shape.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc {

struct NpyHeader {
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;
  bool fortran_order = false;  // the first dimension is the innermost one
  bool big_endian = false;     // swap_elements() makes the data usable
  uint64_t data_offset = 0;    // of the first element, from the start of the file
  uint64_t data_bytes = 0;     // that the shape takes; not checked against the file
  std::string note;            // a guess that the user should know of, empty where none was made

  /// Of the data as it lies: fortran_order makes the first stride 1.
  std::vector<int64_t> strides() const;
};

/// Parses the start of a .npy file, versions 1.0 to 3.0; BYTES holds at least the header, and may
/// hold the data too. The dictionary may have exactly the three keys that NumPy writes. Two-byte
/// void items
/// (`|V2`), which is how bfloat16 arrays of ml_dtypes appear, are taken for bfloat16, with a note.
/// Errors: corrupt (also for shapes that overflow); unsupported for objects, which are pickles, and
/// for texts, dates, structures and numbers that PyTorch lacks.
Result<NpyHeader> parse_npy_header(Bytes bytes);

/// A header of version 1.0 (2.0 for shapes that need it) whose length is a multiple of 64;
/// row-major little-endian data follows it. Errors: unsupported for types that NumPy lacks.
Result<std::string> make_npy_header(DType dtype, Dims sizes);

}  // namespace mlc
