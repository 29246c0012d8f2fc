#include "mlc/tensor/npy.h"

#include "catch.h"

#include <string>
#include <vector>

using namespace mlc;

namespace {

using Sizes = std::vector<int64_t>;
using namespace std::string_literals;

// A header of version 1.0 around DICTIONARY, without padding.
std::string file(const std::string& dictionary) {
  std::string out = "\x93NUMPY\x01\0"s;
  append_le(out, static_cast<uint16_t>(dictionary.size()));
  return out + dictionary;
}

std::string descr_file(const std::string& descr) {
  return file("{'descr': '" + descr + "', 'fortran_order': False, 'shape': (3,), }\n");
}

Error refusal(const std::string& bytes) {
  auto result = parse_npy_header(as_bytes(bytes));
  REQUIRE(!result.ok());
  return std::move(result).error();
}

struct Written {
  std::string bytes;  // by numpy 2.4.6
  DType dtype;
  Sizes sizes;
  bool fortran_order, big_endian;
};

// numpy.lib.format.write_array of zeros((2, 3), "<f4"), asfortranarray(zeros((2, 3), ">i2")),
// array(True), zeros(5, "c16"), zeros((0, 4), "u1"); runs of spaces are counted.
const Written kWritten[] = {
    {"\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"s +
         std::string(58, ' ') + "\n",
     DType::f32,
     {2, 3},
     false,
     false},
    {"\x93NUMPY\x01\0v\0{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }"s +
         std::string(59, ' ') + "\n",
     DType::i16,
     {2, 3},
     true,
     true},
    {"\x93NUMPY\x01\0v\0{'descr': '|b1', 'fortran_order': False, 'shape': (), }"s +
         std::string(62, ' ') + "\n",
     DType::boolean,
     {},
     false,
     false},
    {"\x93NUMPY\x01\0v\0{'descr': '<c16', 'fortran_order': False, 'shape': (5,), }"s +
         std::string(59, ' ') + "\n",
     DType::c128,
     {5},
     false,
     false},
    {"\x93NUMPY\x01\0v\0{'descr': '|u1', 'fortran_order': False, 'shape': (0, 4), }"s +
         std::string(58, ' ') + "\n",
     DType::u8,
     {0, 4},
     false,
     false},
};

}  // namespace

TEST_CASE("headers of NumPy are read", "[npy]") {
  for (const Written& written : kWritten) {
    INFO(written.bytes);
    REQUIRE(written.bytes.size() == 128);
    const auto header = parse_npy_header(as_bytes(written.bytes + "data"));
    REQUIRE(header.ok());
    CHECK(header->dtype == written.dtype);
    CHECK(header->sizes == written.sizes);
    CHECK(header->fortran_order == written.fortran_order);
    CHECK(header->big_endian == written.big_endian);
    CHECK(header->data_offset == 128);
    CHECK(header->note.empty());
  }
}

TEST_CASE("headers are written as NumPy writes them", "[npy]") {
  for (const Written& written : kWritten) {
    if (written.fortran_order) continue;
    const auto header = make_npy_header(written.dtype, written.sizes);
    REQUIRE(header.ok());
    CHECK(*header == written.bytes);
  }
}

TEST_CASE("what is written is read again", "[npy]") {
  for (const DTypeInfo& row : dtype_table()) {
    INFO(row.torch);
    for (const Sizes& sizes : {Sizes{}, Sizes{7}, Sizes{1, 2, 3, 4}, Sizes(64, 1), Sizes{0}}) {
      const auto text = make_npy_header(row.dtype, sizes);
      REQUIRE(text.ok() == !row.numpy.empty());
      if (!text.ok()) {
        CHECK(text.error().kind() == ErrorKind::unsupported);
        continue;
      }
      CHECK(text->size() % 64 == 0);
      CHECK(text->back() == '\n');
      const auto header = parse_npy_header(as_bytes(*text));
      REQUIRE(header.ok());
      CHECK(header->dtype == row.dtype);
      CHECK(header->sizes == sizes);
      CHECK(header->data_offset == text->size());
      CHECK(header->data_bytes == static_cast<uint64_t>(*element_count(sizes)) * row.bytes);
      CHECK(!header->big_endian);
    }
  }
}

TEST_CASE("versions 2 and 3 have a longer length", "[npy]") {
  const std::string dictionary = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n";
  for (const char version : {'\x02', '\x03'}) {
    std::string bytes = "\x93NUMPY"s + version + '\0';
    append_le(bytes, static_cast<uint32_t>(dictionary.size()));
    bytes += dictionary;
    const auto header = parse_npy_header(as_bytes(bytes));
    REQUIRE(header.ok());
    CHECK(header->dtype == DType::f64);
    CHECK(header->data_offset == bytes.size());
    CHECK(header->data_bytes == 16);
  }
  CHECK(refusal("\x93NUMPY\x04\0\x01\0\0\0{"s).message() == "npy format version 4.0");
  CHECK(refusal("\x93NUMPY\x01\x01\x01\0{"s).kind() == ErrorKind::unsupported);
}

TEST_CASE("spellings of other writers are read", "[npy]") {
  for (const char* dictionary : {"{\"shape\":(3L,),\"fortran_order\":False,\"descr\":\"<f4\"}",
                                 "{'descr':'<f4','fortran_order':False,'shape':( 3 , )}   \n",
                                 "{'descr': 'f4', 'fortran_order': False, 'shape': (3,), }",
                                 "{'descr': '=f4', 'fortran_order': False, 'shape': (3,), }"}) {
    INFO(dictionary);
    const auto header = parse_npy_header(as_bytes(file(dictionary)));
    REQUIRE(header.ok());
    CHECK(header->dtype == DType::f32);
    CHECK(header->sizes == Sizes{3});
  }
}

TEST_CASE("bfloat16 hides in void items", "[npy]") {
  for (const char* descr : {"|V2", "<V2"}) {
    const auto header = parse_npy_header(as_bytes(descr_file(descr)));
    REQUIRE(header.ok());
    CHECK(header->dtype == DType::bf16);
    CHECK(header->note == "2-byte void items are read as bfloat16");
  }
}

TEST_CASE("fortran order is a matter of strides", "[npy]") {
  NpyHeader header;
  header.sizes = {2, 3, 4};
  CHECK(header.strides() == Sizes{12, 4, 1});
  header.fortran_order = true;
  CHECK(header.strides() == Sizes{1, 2, 6});
}

TEST_CASE("arrays without tensor elements are not supported", "[npy]") {
  const Error objects = refusal(descr_file("|O"));
  CHECK(objects.kind() == ErrorKind::unsupported);
  CHECK(objects.message() == "npy array of type \"|O\" holds pickled Python objects");
  for (const char* descr :
       {"|S5", "<U3", "<M8[ns]", "|V1", "|V16", "<f16", "<c32", "<i16", "<f3"}) {
    INFO(descr);
    CHECK(refusal(descr_file(descr)).kind() == ErrorKind::unsupported);
  }
  const Error structure =
      refusal(file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }"));
  CHECK(structure.kind() == ErrorKind::unsupported);
  CHECK(structure.message() == "npy array of structures");
}

TEST_CASE("truncated headers are corrupt", "[npy]") {
  const std::string whole = descr_file("<f4");
  for (size_t length = 0; length < whole.size(); ++length) {
    INFO(length);
    CHECK(refusal(whole.substr(0, length)).kind() == ErrorKind::corrupt);
  }
  REQUIRE(parse_npy_header(as_bytes(whole)).ok());
  CHECK(refusal("\x93NUMPY\x02\0\xFF\xFF\xFF\xFF{"s).message() ==
        "npy header: 4,294,967,295 bytes are too many");
  CHECK(refusal("\x93NUMPY\x01\0\xFF\xFF{"s).message() ==
        "npy header: it claims 65535 bytes, 1 are left");
  CHECK(refusal("PK\x03\x04 but no array"s).message() == "not an npy file: its first bytes differ");
}

TEST_CASE("dictionaries that NumPy does not write are corrupt", "[npy]") {
  const std::string shape = "'shape': (3,)";
  const std::string order = "'fortran_order': False";
  const std::string descr = "'descr': '<f4'";
  const auto with = [&](const std::string& one, const std::string& two, const std::string& three) {
    return "{" + one + ", " + two + ", " + three + "}";
  };
  for (const std::string& dictionary : {""s,
                                        "{"s,
                                        "{}"s,
                                        "[]"s,
                                        "{'descr'}"s,
                                        "{'descr': }"s,
                                        with(descr, order, "'more': 1"),
                                        with(descr, descr, order),
                                        with(descr, order, shape) + "x",
                                        with(descr, order, shape) + "{}",
                                        with(descr, "'fortran_order': 0", shape),
                                        with(descr, "'fortran_order': false", shape),
                                        with(descr, order, "'shape': (3)"),
                                        with(descr, order, "'shape': 3"),
                                        with(descr, order, "'shape': (-3,)"),
                                        with(descr, order, "'shape': (3.0,)"),
                                        with(descr, order, "'shape': (3 3)"),
                                        with(descr, order, "'shape': (,)"),
                                        with(descr, order, "'shape': (3,,)"),
                                        with(descr, order, "'shape': (3"),
                                        with(descr, order, "'shape': (99999999999999999999,)"),
                                        with(descr, order, "'shape': (4611686018427387904, 4)"),
                                        with(descr, order, "'shape': (4611686018427387904, 4, 0)"),
                                        with(descr, order, "'shape': (__import__('os'),)"),
                                        with("'descr': '<f4", order, shape),
                                        with("'descr': '\\x3cf4'", order, shape),
                                        with("'descr': ''", order, shape),
                                        with("'descr': '<'", order, shape),
                                        with("'descr': 4", order, shape)}) {
    INFO(dictionary);
    CHECK(refusal(file(dictionary)).kind() == ErrorKind::corrupt);
  }
  std::string many = "'shape': (";
  for (int i = 0; i < 65; ++i) many += "1, ";
  CHECK(refusal(file(with(descr, order, many + ")"))).message().find("64 dimensions") !=
        std::string::npos);
  CHECK(refusal(file(with("'descr': '<c16'", order, "'shape': (9223372036854775807,)")))
            .message()
            .find("64 bits") != std::string::npos);
}
