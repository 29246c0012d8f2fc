#include "mlc/tensor/dtype.h"

#include "catch.h"

#include <set>
#include <string>

using namespace mlc;

TEST_CASE("every dtype has one row at its own index", "[dtype]") {
  const auto table = dtype_table();
  REQUIRE(table.size() == static_cast<size_t>(DType::count_));
  for (size_t i = 0; i < table.size(); ++i) {
    INFO(table[i].torch);
    CHECK(static_cast<size_t>(table[i].dtype) == i);
    CHECK(&info(table[i].dtype) == &table[i]);
    CHECK(!table[i].torch.empty());
    CHECK(!table[i].brief.empty());
    CHECK(element_bytes(table[i].dtype) * (table[i].kind == DTypeClass::complex ? 1 : 2) ==
          component_bytes(table[i].dtype) * 2);
  }
}

TEST_CASE("names and codes of a column are unique", "[dtype]") {
  for (const auto column : {&DTypeInfo::torch, &DTypeInfo::brief, &DTypeInfo::storage,
                            &DTypeInfo::safetensors, &DTypeInfo::numpy}) {
    std::set<std::string_view> seen;
    for (const DTypeInfo& row : dtype_table()) {
      if ((row.*column).empty()) continue;
      INFO(row.*column);
      CHECK(seen.insert(row.*column).second);
    }
  }
  for (const auto column : {&DTypeInfo::pt2, &DTypeInfo::onnx}) {
    std::set<int> seen;
    for (const DTypeInfo& row : dtype_table()) {
      INFO(row.torch);
      if (row.*column != -1) CHECK(seen.insert(row.*column).second);
      CHECK(row.*column != 0);
    }
  }
}

TEST_CASE("sizes agree with the digits of the names", "[dtype]") {
  for (const DTypeInfo& row : dtype_table()) {
    INFO(row.torch);
    CHECK(
        (row.bytes == 1 || row.bytes == 2 || row.bytes == 4 || row.bytes == 8 || row.bytes == 16));
    CHECK(8 % row.per_element == 0);
    if (row.per_element > 1) CHECK(row.bytes == 1);
    if (!row.numpy.empty()) {
      CHECK(std::stoi(std::string(row.numpy.substr(2))) == row.bytes);
      CHECK(row.numpy[0] == (row.bytes == 1 ? '|' : '<'));
    }
    const size_t digits = row.torch.find_first_of("0123456789");
    const bool counts_bits = row.kind == DTypeClass::integer || row.kind == DTypeClass::floating ||
                             row.kind == DTypeClass::complex;
    if (counts_bits) {
      CHECK(std::stoi(std::string(row.torch.substr(digits))) * row.per_element == row.bytes * 8);
    }
  }
}

TEST_CASE("dtypes are found by all their names", "[dtype]") {
  for (const DTypeInfo& row : dtype_table()) {
    INFO(row.torch);
    CHECK(dtype_from_name(row.torch) == row.dtype);
    CHECK(dtype_from_name("torch." + std::string(row.torch)) == row.dtype);
    CHECK(dtype_from_name(row.brief) == row.dtype);
    CHECK(dtype_from_torch(row.torch) == row.dtype);
    if (!row.safetensors.empty()) {
      CHECK(dtype_from_name(row.safetensors) == row.dtype);
      CHECK(dtype_from_safetensors(row.safetensors) == row.dtype);
    }
    if (!row.storage.empty()) CHECK(dtype_from_storage(row.storage) == row.dtype);
    if (row.pt2 != -1) CHECK(dtype_from_pt2(row.pt2) == row.dtype);
  }
  CHECK(dtype_from_name("fp16") == DType::f16);
  CHECK(dtype_from_name("half") == DType::f16);
  CHECK(dtype_from_name("torch.half") == DType::f16);
  CHECK(dtype_from_name("float") == DType::f32);
  CHECK(dtype_from_name("double") == DType::f64);
  CHECK(dtype_from_name("long") == DType::i64);
  CHECK(dtype_from_name("int") == DType::i32);
}

TEST_CASE("unknown names are nothing", "[dtype]") {
  for (const char* name : {"", "torch.", "float31", "FLOAT32", "f32 ", "torch.torch.float32"}) {
    INFO(name);
    CHECK(!dtype_from_name(name));
    CHECK(!dtype_from_torch(name));
    CHECK(!dtype_from_storage(name));
    CHECK(!dtype_from_safetensors(name));
  }
  for (const int64_t code :
       {int64_t{-1}, int64_t{0}, int64_t{14}, int64_t{36}, INT64_MAX, INT64_MIN}) {
    CHECK(!dtype_from_pt2(code));
  }
}
