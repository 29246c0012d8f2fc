#include "mlc/checkpoint/rewrite_safetensors.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/json_scanner.h"

#include <deque>

#include <nlohmann/json.hpp>

namespace mlc {
namespace {

constexpr uint64_t kBlock = 4096;
constexpr uint64_t kMaxHeader = 100'000'000;  // what readers accept
constexpr int kMaxDepth = 4;

/// A member as it stands in the text, without what separates it from the one before.
std::string_view member(std::string_view text, size_t begin, size_t end) {
  text = text.substr(begin, end - begin);
  const size_t quote = text.find('"');
  return quote == std::string_view::npos ? text : text.substr(quote);
}

void append_member(std::string& out, std::string_view text) {
  if (!out.empty()) out += ',';
  out += text;
}

class HeaderEdit {
 public:
  explicit HeaderEdit(std::string_view header)
      : header_(header), json_(header, kMaxDepth, store_) {}

  Status read() {
    std::string_view key;
    json_.begin_object();
    for (size_t begin = json_.position(); json_.next_key(key); begin = json_.position()) {
      if (key == "__metadata__") {
        read_metadata();
      } else {
        json_.skip();
        append_member(tensors_, member(header_, begin, json_.position()));
      }
    }
    if (!json_.finish()) return std::move(json_).error().during("header");
    return {};
  }

  std::string text(const std::optional<std::string>& metadata_yaml) && {
    if (metadata_yaml) {
      if (!has_format_) append_member(strings_, R"("format":"pt")");
      append_member(strings_, R"("mlc":)" + nlohmann::json(*metadata_yaml).dump());
    }
    std::string members;
    if (!strings_.empty()) members = R"("__metadata__":{)" + strings_ + "}";
    if (!tensors_.empty()) append_member(members, tensors_);
    return "{" + members + "}";
  }

 private:
  void read_metadata() {
    std::string_view key;
    std::string_view value;
    if (json_.null()) return;  // as if there was none
    json_.begin_object();
    for (size_t begin = json_.position(); json_.next_key(key); begin = json_.position()) {
      const bool kept = key != "mlc";
      if (key == "format") has_format_ = true;
      json_.string(value);
      if (kept) append_member(strings_, member(header_, begin, json_.position()));
    }
  }

  std::string_view header_;
  std::deque<std::string> store_;
  JsonScanner json_;
  std::string strings_;  // members of the new __metadata__
  std::string tensors_;  // the other members
  bool has_format_ = false;
};

}  // namespace

Result<std::string> with_mlc_metadata(std::string_view header,
                                      const std::optional<std::string>& metadata_yaml) {
  if (metadata_yaml && !is_utf8(*metadata_yaml)) return usage_error("the metadata is not UTF-8");
  HeaderEdit edit(header);
  MLC_CHECK(edit.read());
  return std::move(edit).text(metadata_yaml);
}

Status rewrite_safetensors(const Checkpoint& checkpoint,
                           const std::optional<std::string>& metadata_yaml, OutputFile& out) {
  const InputFile& file = *checkpoint.files[0];
  MLC_TRY(const std::string prefix, file.read_string(0, 8));
  const auto old_length = load_le<uint64_t>(prefix.data());
  MLC_TRY(const std::string old_header, file.read_string(8, old_length));
  MLC_TRY(std::string header, with_mlc_metadata(old_header, metadata_yaml));

  const uint64_t old_begin = 8 + old_length;
  header.append(padding_to(8 + header.size(), 8), ' ');
  if (old_begin % 8 == 0) header.append((old_begin - 8 - header.size()) % kBlock, ' ');
  if (header.size() > kMaxHeader) {
    return unsupported("the header would have " + format_bytes(header.size()) +
                           "; safetensors readers accept 100 MB",
                       "--sidecar writes the metadata beside the file");
  }
  std::string length;
  append_le(length, uint64_t{header.size()});
  MLC_CHECK(out.write(length));
  MLC_CHECK(out.write(header));
  return out.copy_from(file, old_begin, file.size() - old_begin);
}

}  // namespace mlc
