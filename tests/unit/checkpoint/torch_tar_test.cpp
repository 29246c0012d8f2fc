#include "checkpoint_testing.h"

namespace mlc::test {
namespace {

std::string octal(uint64_t value, int digits) {
  std::string out(static_cast<size_t>(digits), '0');
  for (int i = digits; i-- > 0; value /= 8)
    out[static_cast<size_t>(i)] = static_cast<char>('0' + value % 8);
  return out;
}

std::string member(const std::string& name, const std::string& data) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 7, "0000644");
  header.replace(124, 11, octal(data.size(), 11));
  header.replace(136, 11, octal(0, 11));
  header.replace(148, 8, "        ");
  header[156] = '0';
  header.replace(257, 5, "ustar");
  header.replace(263, 2, "00");
  uint64_t sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  header.replace(148, 7, octal(sum, 6) + std::string(1, '\0'));
  std::string padded = data;
  padded.resize((data.size() + 511) / 512 * 512, '\0');
  return header + padded;
}

struct Parts {
  std::string storages =
      pickle(integer(1)) +
      pickle(tuple({integer(11), text("cpu"), global("torch", "FloatStorage")})) + floats(2) +
      pickle("]");
  std::string tensors = pickle(integer(1)) +
                        pickle(tuple({integer(1), integer(11), global("torch", "FloatTensor")})) +
                        little(1, 8) + little(2, 8) + little(1, 8) + little(0, 8);
  std::string object = pickle(dict({{"w", integer(1) + "Q"}}));

  std::string tar() const {
    return member("storages", storages) + member("tensors", tensors) + member("pickle", object) +
           std::string(1024, '\0');
  }
};

TEST_CASE("a tar made by hand reads") {
  const auto checkpoint = open_bytes(Parts().tar());
  CHECK(checkpoint->format == Format::torch_tar);
  const auto names = all_tensors(*checkpoint, checkpoint->root);
  REQUIRE(names.size() == 1);
  CHECK(*contiguous_bytes(*checkpoint->view(names[0].tensor), 100) == floats(2).substr(8));
}

TEST_CASE("a class reference stands for the class") {
  Parts parts;
  parts.object = pickle(tuple({global("a", "Net"), text("f"), text("s")}) + "Q)\x81");
  const auto checkpoint = open_bytes(parts.tar());
  CHECK(checkpoint->graph.is_global(checkpoint->graph.callable(checkpoint->root), "a", "Net"));
}

TEST_CASE("damaged tar checkpoints are named") {
  const auto error = [](auto change) {
    Parts parts;
    change(parts);
    return error_of(parts.tar());
  };
  const auto storage = [](const std::string& key, const std::string& type,
                          const std::string& data) {
    return pickle(tuple({key, text("cpu"), global("torch", type)})) + data;
  };
  const std::string views = pickle("]");
  struct Row {
    std::string error;
    std::string message;
  };
  const Row rows[] = {
      {error([](Parts& p) { p.storages = pickle(text("x")); }), "does not start with a count"},
      {error([](Parts& p) { p.storages = pickle(integer(-1)); }), "does not start with a count"},
      {error([&](Parts& p) {
         p.storages =
             pickle(integer(1)) + storage(integer(11), "FloatStorage", little(3, 8) + "1234");
       }),
       "3 elements reaches beyond its member"},
      {error([&](Parts& p) {
         p.storages =
             pickle(integer(1)) + storage(integer(11), "FloatStorage", little(UINT64_MAX, 8));
       }),
       "-1 elements"},
      {error([&](Parts& p) {
         p.storages = pickle(integer(1)) + storage(integer(11), "FloatStorage", "123");
       }),
       "cut off"},
      {error([&](Parts& p) {
         p.storages = pickle(integer(1)) + storage(integer(11), "OddStorage", floats(2));
       }),
       "unknown type torch.OddStorage"},
      {error([&](Parts& p) {
         p.storages = pickle(integer(1)) + storage(text("x"), "FloatStorage", floats(2));
       }),
       "not what PyTorch writes"},
      {error([&](Parts& p) {
         p.storages = pickle(integer(2)) + storage(integer(11), "FloatStorage", floats(2)) +
                      storage(integer(11), "FloatStorage", floats(2)) + views;
       }),
       "storage 11 is there twice"},
      {error([&](Parts& p) {
         p.storages =
             pickle(integer(1)) + storage(integer(11), "FloatStorage", floats(2)) +
             pickle("](" + tuple({integer(12), integer(11), integer(1), integer(2)}) + "e");
       }),
       "2 elements at 1 reaches beyond"},
      {error([&](Parts& p) {
         p.storages =
             pickle(integer(1)) + storage(integer(11), "FloatStorage", floats(2)) + pickle("}");
       }),
       "its views are no list"},
      {error([](Parts& p) { p.tensors.replace(p.tensors.size() - 24, 8, little(3, 8)); }),
       "tensor 1: shape [3]"},
      {error([](Parts& p) { p.tensors.replace(p.tensors.size() - 32, 8, little(65, 8)); }),
       "65 dimensions"},
      {error([](Parts& p) { p.tensors.pop_back(); }), "cut off"},
      {error([](Parts& p) {
         p.tensors = pickle(integer(1)) +
                     pickle(tuple({integer(1), integer(99), global("torch", "FloatTensor")}));
       }),
       "not what PyTorch writes"},
      {error([](Parts& p) { p.object = pickle(integer(7) + "Q"); }),
       "refers to tensor 7, which is not there"},
      {error([](Parts& p) { p.object = pickle(integer(11) + "Q"); }), "bare storage"},
      {error([](Parts& p) { p.object = pickle("]Q"); }), "neither a tensor nor a class"},
      {error_of(member("storages", Parts().storages) + std::string(1024, '\0')),
       "without the member \"tensors\""},
  };
  for (const Row& row : rows) {
    INFO(row.message);
    INFO(row.error);
    CHECK(row.error.find(row.message) != std::string::npos);
  }
}

}  // namespace
}  // namespace mlc::test
