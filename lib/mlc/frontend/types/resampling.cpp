// Upsample and its two older names.
#include "mlc/frontend/module_types.h"

namespace mlc::arch {
namespace {

struct Request {
  std::string mode;
  std::string align_corners;      // as source text
  Ints size;                      // one or all dimensions; empty: by scale
  std::vector<double> scale;      // likewise
  bool by_computed_size = false;  // size = floor(input size * scale) instead of the scale itself
};

template <class T>
std::vector<T> for_all(const std::vector<T>& given, size_t rank) {
  return given.size() == 1 ? std::vector<T>(rank, given[0]) : given;
}

/// The call for inputs with RANK spatial dimensions.
std::string call(const Request& request, size_t rank) {
  std::string size = "None";
  std::string scales = "None";
  if (!request.size.empty()) {
    size = python_literal(for_all(request.size, rank));
  } else if (request.by_computed_size) {
    const auto factors = for_all(request.scale, rank);
    size = "[";
    for (size_t i = 0; i < rank; ++i) {
      size += (i > 0 ? ", " : "") + std::string("int(float(input.size(") + std::to_string(i + 2) +
              ")) * " + python_literal(factors[i]) + ")";
    }
    size += "]";
  } else {
    scales = python_literal(for_all(request.scale, rank));
  }
  const std::string dims = std::to_string(rank) + "d";
  if (request.mode == "area") return "torch.adaptive_avg_pool" + dims + "(input, " + size + ")";
  if (request.mode.starts_with("nearest")) {
    const std::string name =
        request.mode == "nearest" ? "upsample_nearest" : "_upsample_nearest_exact";
    return "torch." + name + dims + "(input, " + size + ", " + scales + ")";
  }
  return "torch.upsample_" + request.mode + dims + "(input, " + size + ", " +
         request.align_corners + ", " + scales + ")";
}

void write_forward(LeafBuilder& leaf, const Request& request) {
  size_t rank = 0;
  if (request.mode == "linear") rank = 1;
  if (request.mode == "bilinear" || request.mode == "bicubic") rank = 2;
  if (request.mode == "trilinear") rank = 3;
  const size_t given = std::max(request.size.size(), request.scale.size());
  if (rank == 0 && given > 1) rank = given;
  if (rank > 0) {
    leaf.forward_expression(call(request, rank));
    return;
  }
  leaf.forward("input: Tensor", "Tensor",
               "if input.dim() == 3:\n    output = " + call(request, 1) +
                   "\nelif input.dim() == 4:\n    output = " + call(request, 2) +
                   "\nelse:\n    output = " + call(request, 3) + "\nreturn output");
}

Status read_extent(const LeafBuilder& leaf, Request& request) {
  const bool by_size = !leaf.is_none("size");
  if (by_size == !leaf.is_none("scale_factor")) {
    return leaf.error(by_size ? "scale_factor" : "size",
                      "give size or scale_factor, not " + std::string(by_size ? "both" : "none"));
  }
  if (by_size)
    request.size = leaf.ints("size");
  else
    request.scale = std::get<std::vector<double>>(leaf.value("scale_factor"));
  const size_t given = request.size.size() + request.scale.size();
  const bool fits = given == 1 || (request.mode == "linear"         ? false
                                   : request.mode == "trilinear"    ? given == 3
                                   : request.mode.starts_with("bi") ? given == 2
                                                                    : given == 2 || given == 3);
  if (fits) return {};
  return leaf.error(
      by_size ? "size" : "scale_factor",
      "mode " + request.mode + " does not go with " + std::to_string(given) + " dimensions");
}

Status build_upsample(LeafBuilder& leaf) {
  Request request;
  request.mode = leaf.text("mode");
  const bool interpolates =
      request.mode.find("linear") != std::string::npos || request.mode == "bicubic";
  if (!interpolates && !leaf.is_none("align_corners")) {
    return leaf.error("align_corners", "align_corners does not go with mode " + request.mode);
  }
  const bool aligned = !leaf.is_none("align_corners") && leaf.flag("align_corners");
  request.align_corners = aligned ? "True" : "False";
  MLC_CHECK(read_extent(leaf, request));
  const bool recompute =
      !leaf.is_none("recompute_scale_factor") && leaf.flag("recompute_scale_factor");
  if (recompute && !request.size.empty()) {
    return leaf.error("recompute_scale_factor", "recompute_scale_factor needs scale_factor");
  }
  request.by_computed_size = recompute || request.mode == "area";
  write_forward(leaf, request);
  return {};
}

Status build_2d(LeafBuilder& leaf) {
  Request request;
  const bool bilinear = leaf.type() == "UpsamplingBilinear2d";
  request.mode = bilinear ? "bilinear" : "nearest";
  request.align_corners = "True";
  MLC_CHECK(read_extent(leaf, request));
  if (request.scale.size() > 2) return leaf.error("scale_factor", "two dimensions have two scales");
  leaf.forward_expression(call(request, 2));
  return {};
}

constexpr std::string_view k2d = "size: size2? = None, scale_factor: floats? = None";

constexpr ModuleType kRows[] = {
    {"Upsample",
     "size: size? = None, scale_factor: floats? = None, mode: {nearest linear bilinear bicubic "
     "trilinear area nearest-exact} = nearest, align_corners: bool? = None, "
     "recompute_scale_factor: bool? = None",
     "", build_upsample},
    {"UpsamplingNearest2d", k2d, "", build_2d},
    {"UpsamplingBilinear2d", k2d, "", build_2d},
};

}  // namespace

std::span<const ModuleType> resampling_types() {
  return kRows;
}

}  // namespace mlc::arch
