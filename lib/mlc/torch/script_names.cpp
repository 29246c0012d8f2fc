#include "mlc/torch/script_names.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

namespace mlc::torch_module {
namespace {

struct Renamed {
  std::string_view from;
  const char* to;
};
constexpr Renamed kRenamed[] = {
    {"_operator::add", "aten::add"},
    {"_operator::and_", "aten::__and__"},
    {"_operator::eq", "aten::eq"},
    {"_operator::floordiv", "aten::floordiv"},
    {"_operator::ge", "aten::ge"},
    {"_operator::gt", "aten::gt"},
    {"_operator::le", "aten::le"},
    {"_operator::lshift", "aten::__lshift__"},
    {"_operator::lt", "aten::lt"},
    {"_operator::mod", "aten::remainder"},
    {"_operator::mul", "aten::mul"},
    {"_operator::ne", "aten::ne"},
    {"_operator::neg", "aten::neg"},
    {"_operator::not_", "aten::__not__"},
    {"_operator::or_", "aten::__or__"},
    {"_operator::pow", "aten::pow"},
    {"_operator::rshift", "aten::__rshift__"},
    {"_operator::sub", "aten::sub"},
    {"_operator::truediv", "aten::div"},
    {"math::ceil", "aten::ceil"},
    {"math::floor", "aten::floor"},
    {"math::sqrt", "aten::sqrt"},
    {"torch::sym_float", "aten::Float"},
    {"torch::sym_int", "aten::Int"},
    {"torch::sym_max", "prim::max"},
    {"torch::sym_min", "prim::min"},
    {"torch::sym_not", "aten::__not__"},
    {"torch::sym_sqrt", "aten::sqrt"},
    {"torch::_sym_sqrt", "aten::sqrt"},
    {"math::trunc", "aten::Int"},
};

}  // namespace

const char* script_name(const ir::OpName& op) {
  const std::string name = op.domain + "::" + op.name;
  const auto row = std::ranges::find(kRenamed, name, &Renamed::from);
  return row == std::end(kRenamed) ? nullptr : row->to;
}

}  // namespace mlc::torch_module
