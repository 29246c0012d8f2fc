#include "mlc/yaml/document.h"

#include "mlc/base/file.h"
#include "mlc/base/text.h"
#include "mlc/base/text_input.h"
#include "mlc/yaml/node_data.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <sstream>
#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace mlc::yaml {
namespace {

constexpr std::string_view kCoreTagPrefix = "tag:yaml.org,2002:";

// Leaves yaml-cpp's parser from inside an event.
struct Stop {
  Error error;
};

struct Rewording {
  std::string_view theirs;
  std::string_view ours;
  std::string_view hint;
};

// yaml-cpp names the state of its scanner; a person needs to know what to type.
constexpr Rewording kRewordings[] = {
    {"illegal EOF in scalar", "the text ends inside a quoted string", "close the quote"},
    {"the referenced anchor is not defined", "the alias refers to an anchor that does not exist",
     ""},
    {"illegal document indicator in scalar", "a document marker stands inside a quoted string",
     "close the quote"},
    {"illegal tab when looking for indentation", "a tab is used for indentation",
     "indent with spaces"},
    {"end of sequence flow not found", "expected \",\" or \"]\" here", ""},
    {"end of map flow not found", "expected \",\" or \"}\" here", ""},
    {"end of map not found", "this line does not belong to the mapping above it",
     "check the indentation and the colon after the key"},
    {"end of sequence not found", "this line does not belong to the list above it",
     "check the indentation and the dash before the item"},
    {"illegal map value", "a \": \" is not allowed here",
     "put text that contains \": \" in quotes"},
    {"illegal block entry", "a list item is not allowed here", "check the indentation"},
    {"illegal map key", "a mapping key is not allowed here", "check the indentation"},
    {"illegal flow end", "a closing bracket without its opening one", ""},
    {"unknown token", "a character that cannot start a value", "put the text in quotes"},
};

// Of the text, in bytes. Requires: not a null mark.
size_t offset_of(const YAML::Mark& mark) {
  return static_cast<size_t>(mark.pos);
}

/// Builds the tree from yaml-cpp's events and stops at the first broken limit.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(std::shared_ptr<const Source> source) : source_(std::move(source)) {}

  std::shared_ptr<Node::Data> root() const { return root_; }
  /// The innermost list or mapping that has begun and not ended, or null pointer.
  const Node::Data* innermost_open() const {
    return frames_.empty() ? nullptr : frames_.back().data.get();
  }
  /// Where the last scalar begins.
  const YAML::Mark& last_scalar() const { return last_scalar_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ == 0) return;
    const std::string_view text = source_->text;
    const size_t offset = std::min(offset_of(mark), text.size());
    if (text.substr(offset).starts_with("---") ||
        text.substr(0, offset).find("\n...") != std::string_view::npos) {
      stop(mark, "a second document starts here, but only one is allowed",
           "keep one document per file");
    }
    stop(mark, "this line does not belong to what stands above it", "check the indentation");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!wants_key()) return leaf(mark, anchor, Kind::null, {}, false);
    // A key written null or ~ is text like any other; one that is missing is a mistake.
    const std::string_view rest =
        std::string_view(source_->text).substr(std::min(offset_of(mark), source_->text.size()));
    const std::string_view word = rest.substr(0, rest.starts_with('~') ? 1 : 4);
    if (word.empty() || plain_type(word) != PlainType::null)
      stop(mark, "a key is missing before \":\"");
    take_key(mark, std::string(word));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (wants_key()) stop(mark, "an alias cannot be a key");
    const auto it = anchors_.find(anchor);
    if (it == anchors_.end()) stop(mark, "the alias has no anchor");
    for (const Frame& frame : frames_) {
      if (frame.data == it->second) stop(mark, "the alias refers to what contains it");
    }
    count(mark, it->second->expanded);
    check_depth(mark, it->second->height);
    attach(it->second);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    last_scalar_ = mark;
    const bool is_text = check_tag(mark, tag) == "str" || tag == "!";
    if (wants_key()) {
      if (value == "<<" && !is_text) {
        stop(mark, "merge keys (<<) are not supported", "write the keys out");
      }
      return take_key(mark, value);
    }
    leaf(mark, anchor, Kind::scalar, value, is_text);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::sequence);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::mapping);
  }
  void OnMapEnd() override {
    index_keys(*frames_.back().data);
    close();
  }

 private:
  struct Frame {
    std::shared_ptr<Node::Data> data;
    std::string key;
    bool has_key = false;
  };

  [[noreturn]] void stop(const YAML::Mark& mark, std::string message, std::string hint = {}) const {
    throw Stop{source_->error(static_cast<size_t>(mark.line) + 1,
                              static_cast<size_t>(mark.column) + 1, std::move(message),
                              std::move(hint))};
  }

  bool wants_key() const {
    return !frames_.empty() && frames_.back().data->kind == Kind::mapping &&
           !frames_.back().has_key;
  }

  // Whether the bracket at OFFSET has its counterpart, brackets in quotes counted like others. True
  // where there is no bracket.
  bool bracket_closes(size_t offset) const {
    int depth = 0;
    for (size_t i = offset; i < source_->text.size(); ++i) {
      const char c = source_->text[i];
      if (c == '[' || c == '{') ++depth;
      if (c == ']' || c == '}') --depth;
      if (depth <= 0) return true;
    }
    return false;
  }

  void take_key(const YAML::Mark& mark, std::string key) {
    count(mark, 1);
    Frame& frame = frames_.back();
    frame.key = std::move(key);
    frame.has_key = true;
    frame.data->key_positions.emplace_back(mark.line + 1, mark.column + 1);
  }

  void count(const YAML::Mark& mark, size_t nodes) {
    total_ += nodes;
    if (total_ > kMaxNodes) {
      stop(mark, "the document has more than " + format_count(kMaxNodes) + " nodes");
    }
  }

  void check_depth(const YAML::Mark& mark, int height) const {
    if (static_cast<int>(frames_.size()) + height > kMaxDepth) {
      stop(mark, "the document is nested more than " + std::to_string(kMaxDepth) + " levels deep");
    }
  }

  // The name of a core tag, empty for none; stops at any other.
  std::string_view check_tag(const YAML::Mark& mark, const std::string& tag) const {
    static constexpr std::array<std::string_view, 7> kKnown = {"str",  "int", "float", "bool",
                                                               "null", "map", "seq"};
    if (tag.empty() || tag == "?" || tag == "!") return {};
    if (tag.starts_with(kCoreTagPrefix)) {
      const auto name = std::string_view(tag).substr(kCoreTagPrefix.size());
      const auto it = std::find(kKnown.begin(), kKnown.end(), name);
      if (it != kKnown.end()) return *it;
    }
    stop(mark, "the tag " + quoted(tag, 60) + " is not supported", "remove the tag");
  }

  std::shared_ptr<Node::Data> make(const YAML::Mark& mark, YAML::anchor_t anchor, Kind kind) {
    count(mark, 1);
    check_depth(mark, 1);
    auto data = std::make_shared<Node::Data>();
    data->kind = kind;
    data->line = static_cast<uint32_t>(mark.line) + 1;
    data->column = static_cast<uint32_t>(mark.column) + 1;
    if (anchor != YAML::NullAnchor) anchors_[anchor] = data;
    return data;
  }

  void leaf(const YAML::Mark& mark, YAML::anchor_t anchor, Kind kind, std::string text,
            bool is_text) {
    auto data = make(mark, anchor, kind);
    data->text = std::move(text);
    data->quoted = is_text;
    attach(std::move(data));
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Kind kind) {
    if (wants_key()) {
      // At the end of the text yaml-cpp takes what an open bracket began for a key.
      if (!bracket_closes(offset_of(mark))) stop(mark, "this bracket is never closed");
      stop(mark, "a list or a mapping cannot be a key", "put the key in quotes");
    }
    check_tag(mark, tag);
    frames_.push_back({make(mark, anchor, kind), {}, false});
  }

  void close() {
    auto data = std::move(frames_.back().data);
    frames_.pop_back();
    attach(std::move(data));
  }

  void attach(std::shared_ptr<Node::Data> data) {
    if (frames_.empty()) {
      root_ = std::move(data);
      return;
    }
    Frame& frame = frames_.back();
    Node::Data& parent = *frame.data;
    parent.height = std::max(parent.height, data->height + 1);
    parent.expanded += data->expanded;
    if (parent.kind == Kind::sequence) {
      parent.items.emplace_back(source_, std::move(data));
      return;
    }
    ++parent.expanded;  // the key
    parent.entries.emplace_back(std::move(frame.key), Node(source_, std::move(data)));
    frame.has_key = false;
  }

  // Sorts the entry numbers of a finished mapping by key and refuses duplicates.
  void index_keys(Node::Data& map) const {
    map.by_key.resize(map.entries.size());
    std::iota(map.by_key.begin(), map.by_key.end(), 0U);
    const auto& entries = map.entries;
    std::stable_sort(map.by_key.begin(), map.by_key.end(),
                     [&](uint32_t a, uint32_t b) { return entries[a].first < entries[b].first; });
    const auto same = std::adjacent_find(
        map.by_key.begin(), map.by_key.end(),
        [&](uint32_t a, uint32_t b) { return entries[a].first == entries[b].first; });
    if (same == map.by_key.end()) return;
    const auto [line, column] = map.key_positions[*std::next(same)];
    throw Stop{source_->error(line, column,
                              "the key " + quoted(entries[*same].first, 60) +
                                  " is given twice, first on line " +
                                  std::to_string(map.key_positions[*same].first),
                              "remove one of them")};
  }

  std::shared_ptr<const Source> source_;
  std::shared_ptr<Node::Data> root_;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, std::shared_ptr<Node::Data>> anchors_;
  size_t total_ = 0;
  int documents_ = 0;
  YAML::Mark last_scalar_ = YAML::Mark::null_mark();
};

std::string_view line_at(std::string_view text, size_t line) {
  for (; line > 1; --line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

// The escape that E complains of, where it is one that only makes sense with another.
std::optional<std::string> half_of_pair(const YAML::Exception& e) {
  const std::string_view theirs = YAML::ErrorMsg::INVALID_UNICODE;
  if (!e.msg.starts_with(theirs)) return std::nullopt;
  uint32_t unit = 0;
  const char* end = e.msg.data() + e.msg.size();
  std::from_chars(e.msg.data() + theirs.size(), end, unit);
  if (unit < 0xD800 || unit > 0xDFFF) return std::nullopt;
  return fmt::format("\\u{:04x}", unit);
}

size_t indent_of(std::string_view line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

// Where the first bracket in LINE opens that does not close in it; npos if there is none.
size_t open_bracket(std::string_view line) {
  std::vector<size_t> open;
  char quote = '\0';
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '#' && i > 0 && line[i - 1] == ' ') {
      break;
    } else if (c == '{' || c == '[') {
      open.push_back(i);
    } else if ((c == '}' || c == ']') && !open.empty()) {
      open.pop_back();
    }
  }
  return open.empty() ? std::string_view::npos : open.front();
}

// Line and column of a bracket, the value of a key or an item, that opens before line END and is
// followed by a line which is indented no deeper: that is not meant to belong to it. yaml-cpp finds
// out many lines later.
std::optional<std::pair<size_t, size_t>> unclosed_bracket(const Source& source, size_t end) {
  std::optional<std::pair<size_t, size_t>> found;
  size_t indent = 0;
  size_t number = 0;
  for (const std::string_view line : split(source.text, '\n')) {
    if (++number > end) break;
    if (trim(line).empty()) continue;
    if (found && indent_of(line) <= indent) return found;
    found.reset();
    const size_t at = open_bracket(line);
    if (at == line.npos || at < 2) continue;
    const std::string_view before = line.substr(at - 2, 2);
    if (before != ": " && before != "- ") continue;
    found = {number, at + 1};
    indent = indent_of(line);
  }
  return std::nullopt;
}

Error reworded(const Source& source, const Builder& builder, const YAML::Exception& e) {
  const size_t line = e.mark.is_null() ? 1 : static_cast<size_t>(e.mark.line) + 1;
  const size_t column = e.mark.is_null() ? 1 : static_cast<size_t>(e.mark.column) + 1;
  const std::string_view shown = line_at(source.text, line);
  const size_t indent = std::min(shown.find_first_not_of(" \t"), shown.size());
  if (const size_t tab = shown.substr(0, indent).find('\t'); tab != std::string_view::npos) {
    return source.error(line, tab + 1, "a tab is used for indentation", "indent with spaces");
  }
  const bool at_end =
      trim(std::string_view(source.text).substr(std::min(offset_of(e.mark), source.text.size())))
          .empty();
  const Node::Data* open = builder.innermost_open();
  if (at_end && open != nullptr && e.msg.ends_with("flow not found")) {
    return source.error(open->line, open->column, "this bracket is never closed");
  }
  if (const auto bracket = unclosed_bracket(source, line)) {
    return source.error(bracket->first, bracket->second, "this bracket is not closed in its line",
                        "close it there; lines that belong to it are indented deeper");
  }
  for (const Rewording& row : kRewordings) {
    if (e.msg == row.theirs) {
      return source.error(line, column, std::string(row.ours), std::string(row.hint));
    }
  }
  if (const auto half = half_of_pair(e)) {
    return source.error(line, column, "the escape " + *half + " is half of a surrogate pair",
                        "write the character itself, or \\U and its eight digits; pairs are "
                        "joined where the whole text is JSON");
  }
  if (e.msg.starts_with(YAML::ErrorMsg::INVALID_ESCAPE)) {
    return source.error(line, column, e.msg,
                        "in double quotes, \\ begins an escape: single quotes take it as it is");
  }
  return source.error(line, column, e.msg);
}

constexpr uint32_t kHighHalf = 0xD800;
constexpr uint32_t kLowHalf = 0xDC00;
constexpr uint32_t kEndOfHalves = 0xE000;
constexpr size_t kEscape = 6;  // \u and four digits

// The code unit of the escape \uXXXX at the start of TEXT, if there is one.
std::optional<uint32_t> escaped_unit(std::string_view text) {
  if (text.size() < kEscape || !text.starts_with("\\u")) return std::nullopt;
  uint32_t unit = 0;
  const char* end = text.data() + kEscape;
  const auto [stop, code] = std::from_chars(text.data() + 2, end, unit, 16);
  return code == std::errc() && stop == end ? std::optional(unit) : std::nullopt;
}

// JSON escapes characters beyond 16 bits as two halves, YAML as one number: in TEXT, which is JSON,
// the second takes the place of the first.
std::string join_surrogates(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto high = escaped_unit(text.substr(i));
    const auto low = escaped_unit(text.substr(std::min(i + kEscape, text.size())));
    if (high && low && *high >= kHighHalf && *high < kLowHalf && *low >= kLowHalf &&
        *low < kEndOfHalves) {
      const uint32_t character = 0x10000 + ((*high - kHighHalf) << 10U) + (*low - kLowHalf);
      out += fmt::format("\\U{:08X}", character);
      i += 2 * kEscape;
      continue;
    }
    const size_t step = text[i] == '\\' && i + 1 < text.size() ? 2 : 1;
    out += text.substr(i, step);
    i += step;
  }
  return out;
}

bool has_surrogates(std::string_view text) {
  for (size_t at = text.find("\\u"); at != text.npos; at = text.find("\\u", at + 1)) {
    const uint32_t unit = escaped_unit(text.substr(at)).value_or(0);
    if (unit >= kHighHalf && unit < kEndOfHalves) return true;
  }
  return false;
}

// yaml-cpp lets the end of the text close a quoted string, which can swallow half a file. Only the
// last scalar can be affected, so it is read again here, from MARK, where its anchor, tag or quote
// is.
Status check_last_quote(const Source& source, const YAML::Mark& mark) {
  if (mark.is_null() || offset_of(mark) >= source.text.size()) return {};
  std::string_view rest = std::string_view(source.text).substr(offset_of(mark));
  while (rest.starts_with('&') || rest.starts_with('!')) {
    rest.remove_prefix(std::min(rest.find_first_of(" \t\r\n"), rest.size()));
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
  }
  if (!rest.starts_with('"') && !rest.starts_with('\'')) return {};
  const char quote = rest[0];
  for (size_t i = 1; i < rest.size(); ++i) {
    if (quote == '"' && rest[i] == '\\') {
      ++i;
    } else if (rest[i] == quote) {
      if (quote == '"' || i + 1 >= rest.size() || rest[i + 1] != quote) return {};
      ++i;
    }
  }
  return source.error(static_cast<size_t>(mark.line) + 1, static_cast<size_t>(mark.column) + 1,
                      "this quoted string is never closed", "close the quote");
}

// YAML allows no control characters, and yaml-cpp takes some of them for the end of the file.
Status check_characters(const Source& source) {
  if (source.text.find('\0') != std::string_view::npos) {
    return Error(source.kind, "is binary data, not YAML").in_file(source.file);
  }
  size_t line = 1;
  size_t line_start = 0;
  for (size_t i = 0; i < source.text.size(); ++i) {
    const auto c = static_cast<unsigned char>(source.text[i]);
    if (c == '\n') {
      ++line;
      line_start = i + 1;
    } else if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7F) {
      return source.error(line, i - line_start + 1, "a control character is not allowed in YAML",
                          "write it as an escape in double quotes");
    }
  }
  if (!is_utf8(source.text)) {
    return Error(source.kind, "the text is not UTF-8").in_file(source.file);
  }
  return {};
}

}  // namespace

Result<Node> parse(std::string text, const std::string& file, ErrorKind kind) {
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  if (text.size() > kMaxFileBytes) {
    return Error(kind, "is larger than " + format_bytes(kMaxFileBytes)).in_file(file);
  }
  if (has_surrogates(text) && nlohmann::json::accept(text)) text = join_surrogates(text);
  // With a last newline yaml-cpp reports an open quote one way only, see check_last_quote().
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  auto source = std::make_shared<const Source>(Source{std::move(text), file, kind});
  MLC_CHECK(check_characters(*source));
  Builder builder(source);
  try {
    std::istringstream stream(source->text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (Stop& stop) {
    return std::move(stop.error);
  } catch (const YAML::Exception& e) {
    return reworded(*source, builder, e);
  } catch (const std::exception& e) {
    return internal_error(std::string("the YAML parser failed: ") + e.what()).in_file(file);
  }
  MLC_CHECK(check_last_quote(*source, builder.last_scalar()));
  auto root = builder.root();
  if (!root) root = std::make_shared<Node::Data>();
  return Node(std::move(source), std::move(root));
}

Result<Node> parse_file(const std::string& path) {
  MLC_TRY(const auto file, open_text_input(path));
  if (file->size() > kMaxFileBytes) {
    return usage_error("is larger than " + format_bytes(kMaxFileBytes)).in_file(path);
  }
  MLC_TRY(std::string text, file->read_string(0, file->size()));
  return parse(std::move(text), path);
}

}  // namespace mlc::yaml
