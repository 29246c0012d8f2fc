#include "mlc/checkpoint/diff.h"

#include "mlc/base/parallel.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/derive.h"
#include "mlc/checkpoint/diff_values.h"
#include "mlc/checkpoint/distributed_tensor.h"
#include "mlc/checkpoint/expansion.h"
#include "mlc/checkpoint/parts_of_two.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/checkpoint/summary.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/tensor/element_values.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

namespace mlc {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{16} << 20;    // one task of a thread
constexpr uint64_t kBlockElements = uint64_t{1} << 16;  // of views that are not plain
constexpr size_t kNoRow = SIZE_MAX;

/// What is left to find out about a key.
enum class Question : uint8_t { none, elements, answered };

struct Row {
  const NamedTensor* a = nullptr;  // null: only in B
  const NamedTensor* b = nullptr;  // null: only in A
  Question question = Question::none;
  DiffKind answer = DiffKind::value;
  std::string reason;
  bool same_dtype = true;
  /// What is walked of both: 1 in the dimensions that both expand, whose elements are the same.
  std::vector<int64_t> sizes;
  bool plain = false;    // both are contiguous, so that they can be cut into pieces
  size_t twin = kNoRow;  // a row of the same two tensors, which is compared instead
  size_t first_piece = 0;
  size_t end_piece = 0;
};

struct Piece {
  size_t row = 0;
  uint64_t begin = 0;  // in elements
  uint64_t count = 0;
};

bool is_plain(const Checkpoint& checkpoint, const Tensor& tensor, Dims sizes) {
  return !tensor.conjugated && !tensor.negated && is_contiguous(sizes, checkpoint.strides(tensor));
}

/// Index, in row-major order, of what element INDEX of a view of WALKED is in one of SIZES.
uint64_t index_in_whole(uint64_t index, Dims walked, Dims sizes) {
  uint64_t out = 0;
  uint64_t step = 1;
  for (size_t d = sizes.size(); d-- > 0;) {
    const auto size = static_cast<uint64_t>(walked[d]);
    out += index % size * step;
    index /= size;
    step *= static_cast<uint64_t>(sizes[d]);
  }
  return out;
}

bool equal_bytes(Bytes a, Bytes b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

Result<TensorView> view_of(const Checkpoint& checkpoint, const NamedTensor& named, Dims sizes) {
  auto view = checkpoint.view(named.tensor);
  if (view.ok()) {
    view->sizes = sizes;
    return view;
  }
  return std::move(view)
      .error()
      .during("tensor " + sentence_key(named.path))
      .in_file(checkpoint.path);
}

class Differ {
 public:
  Differ(const Checkpoint& a, const Checkpoint& b, const DiffOptions& options, Reporter& reporter)
      : a_(a), b_(b), options_(options), reporter_(reporter) {}

  Result<DiffReport> run(const std::vector<NamedTensor>& tensors_a,
                         const std::vector<NamedTensor>& tensors_b);

 private:
  void match(const std::vector<NamedTensor>& tensors_a, const std::vector<NamedTensor>& tensors_b);
  Status classify(Row& row);
  Status ask_kind(Row& row, const Tensor& a, const Tensor& b);
  Status ask_distributed(Row& row, const Tensor& a, const Tensor& b);
  void note_autograd(const Row& row);
  void take_whole(Row& row);
  void take_local(Row& row, uint32_t a, uint32_t b);
  Status find_extent(Row& row);
  void cut(size_t index);
  Status find_differing();
  Status measure();
  template <class Visit>
  Status walk(const Piece& piece, const Visit& visit) const;
  void report_rows();
  CompareResult compared_values(const Row& row) const;
  void report_elements(const Row& row, Difference difference);
  void report_sharing();

  const Tensor& tensor_a(const Row& row) const { return a_.tensors[row.a->tensor]; }
  const Tensor& tensor_b(const Row& row) const { return b_.tensors[row.b->tensor]; }

  const Checkpoint& a_;
  const Checkpoint& b_;
  const DiffOptions& options_;
  Reporter& reporter_;
  PartsOfTwo parts_{a_, b_, options_.tolerance};
  ExpansionBudget budget_a_{a_, Repeats::passed_over};
  ExpansionBudget budget_b_{b_, Repeats::passed_over};
  std::vector<Row> rows_;
  std::deque<NamedTensor> locals_;  // local parts that rows look at instead of DTensors
  std::vector<Piece> pieces_;
  std::vector<std::atomic<bool>> differs_;          // by row
  std::vector<std::optional<Comparer>> comparers_;  // by piece
  std::set<TensorIdentity> counted_;                // those of A that are in report_.bytes
  DiffReport report_;
};

/// The tensors of one side by their paths, of which some are those of several.
class ByPath {
 public:
  explicit ByPath(const std::vector<NamedTensor>& tensors) : tensors_(tensors) {
    next_.resize(tensors.size(), kNoIndex);
    taken_.resize(tensors.size(), false);
    for (size_t i = tensors.size(); i-- > 0;) {
      const auto [it, is_new] = first_.emplace(tensors[i].path, i);
      if (is_new) continue;
      next_[i] = it->second;
      it->second = static_cast<uint32_t>(i);
    }
  }

  /// The first that NAMED's path leads to, is not taken and IS_RIGHT; null for none.
  template <class IsRight>
  const NamedTensor* take(const NamedTensor& named, const IsRight& is_right) {
    const auto it = first_.find(named.path);
    uint32_t i = it == first_.end() ? kNoIndex : it->second;
    while (i != kNoIndex && (taken_[i] || !is_right(tensors_[i]))) i = next_[i];
    if (i == kNoIndex) return nullptr;
    taken_[i] = true;
    return &tensors_[i];
  }
  bool is_taken(size_t i) const { return taken_[i]; }

 private:
  const std::vector<NamedTensor>& tensors_;
  std::unordered_map<std::string_view, uint32_t> first_;
  std::vector<uint32_t> next_;  // of the same path
  std::vector<bool> taken_;
};

/// What is to be said of two keys that only print alike.
std::string key_types_text(const NamedTensor& a, const NamedTensor& b) {
  if (a.path.find('.') == std::string::npos) {
    const bool text_in_a = a.spelling == 0;
    return (text_in_a ? "'" + a.path + "'" : a.path) + " in A and " +
           (text_in_a ? b.path : "'" + b.path + "'") + " in B";
  }
  const bool text_in_b = (a.spelling & ~b.spelling) != 0;
  return std::string("a key on the way to it is a text only in ") + (text_in_b ? "B" : "A");
}

/// By path, where several have it by what it is made of, and then by their order.
void Differ::match(const std::vector<NamedTensor>& tensors_a,
                   const std::vector<NamedTensor>& tensors_b) {
  ByPath in_b(tensors_b);
  for (const NamedTensor& named : tensors_a) {
    Row& row = rows_.emplace_back();
    row.a = &named;
    row.b = in_b.take(
        named, [&named](const NamedTensor& other) { return other.spelling == named.spelling; });
  }
  for (Row& row : rows_) {
    if (row.b == nullptr) row.b = in_b.take(*row.a, [](const NamedTensor&) { return true; });
  }
  for (size_t i = 0; i < tensors_b.size(); ++i) {
    if (!in_b.is_taken(i)) rows_.emplace_back().b = &tensors_b[i];
  }
}

// The kinds that have more than elements, or none.
Status Differ::ask_kind(Row& row, const Tensor& a, const Tensor& b) {
  const auto answer = [&row](DiffKind kind, std::string reason) -> Status {
    row.question = Question::answered;
    row.answer = kind;
    row.reason = std::move(reason);
    return {};
  };
  const bool reads = options_.depth == DiffDepth::values;
  if (a.kind == TensorKind::other) {
    if (local_part(a_, a) != kNoIndex && local_part(b_, b) != kNoIndex) {
      return ask_distributed(row, a, b);
    }
    if (!reads) return {};
    if (rebuild_args(a_, a).empty() || rebuild_args(b_, b).empty()) {
      return answer(DiffKind::uncompared, layout_name(a_, a) + " tensors cannot be compared");
    }
    MLC_TRY(const bool same, parts_.same_build(a.node, b.node));
    return same ? Status() : answer(DiffKind::value, "what is stored of it differs");
  }
  if (!std::ranges::equal(a_.sizes(a), b_.sizes(b))) return answer(DiffKind::shape, "");
  if (!row.same_dtype && !options_.ignore_dtype && !(reads && can_compare(a.dtype, b.dtype))) {
    return answer(DiffKind::dtype, "");
  }
  if (!reads) return {};
  if (a.kind == TensorKind::sparse) {
    if (!row.same_dtype) {
      return options_.ignore_dtype
                 ? answer(DiffKind::uncompared, "sparse tensors of different types")
                 : answer(DiffKind::dtype, "");
    }
    const auto args_a = rebuild_args(a_, a);
    const auto args_b = rebuild_args(b_, b);
    if (args_a.size() < 2 || args_b.size() < 2) {
      return answer(DiffKind::uncompared, "sparse tensor of an unknown form");
    }
    MLC_TRY(const bool same, parts_.same_parts(args_a[1], args_b[1]));
    if (same) return {};
    MLC_TRY(const bool equal, parts_.same_entries(a, b));
    if (!equal) return answer(DiffKind::value, "indices or values differ");
    ++report_.value_equal;
    return {};
  }
  if (!has_elements(a)) return row.same_dtype ? Status() : answer(DiffKind::dtype, "");
  if (!can_compare(a.dtype, b.dtype)) {
    return answer(DiffKind::uncompared, std::string(info(a.dtype).brief) + " and " +
                                            std::string(info(b.dtype).brief) +
                                            " values cannot be compared");
  }
  if (a.kind == TensorKind::quantized) {
    MLC_TRY(const bool same, parts_.same_quantizer(a, b));
    if (!same) return answer(DiffKind::value, "scales or zero points differ");
  }
  row.question = Question::elements;
  return {};
}

/// Two DTensors of which the files hold parts.
Status Differ::ask_distributed(Row& row, const Tensor& a, const Tensor& b) {
  const auto answer = [&row](DiffKind kind, std::string_view reason) -> Status {
    row.question = Question::answered;
    row.answer = kind;
    row.reason = reason;
    return {};
  };
  if (!std::ranges::equal(a_.sizes(a), b_.sizes(b))) return answer(DiffKind::shape, "");
  if (options_.depth != DiffDepth::values) {
    const bool same = row.same_dtype || options_.ignore_dtype;
    return same ? Status() : answer(DiffKind::dtype, "");
  }
  const uint32_t in_a = local_part(a_, a);
  const uint32_t in_b = local_part(b_, b);
  const Tensor& part_a = a_.tensors[in_a];
  const Tensor& part_b = b_.tensors[in_b];
  const bool readable = part_a.kind != TensorKind::other &&  // as one that holds itself is
                        layout_name(a_, part_a) == layout_name(b_, part_b);
  MLC_TRY(const bool same, parts_.same_place(a, b));
  if (!same || !readable) {
    return answer(DiffKind::uncompared,
                  "not known to be the same part of a DTensor; `full_tensor()` gathers the whole");
  }
  row.reason = "local part of a DTensor " + format_shape(a_.sizes(a));
  take_local(row, in_a, in_b);
  return ask_kind(row, part_a, part_b);
}

void Differ::take_local(Row& row, uint32_t a, uint32_t b) {
  row.a = &locals_.emplace_back(*row.a);
  locals_.back().tensor = a;
  row.b = &locals_.emplace_back(*row.b);
  locals_.back().tensor = b;
}

/// What the two are for autograd, which is no difference.
void Differ::note_autograd(const Row& row) {
  const Tensor& a = tensor_a(row);
  const Tensor& b = tensor_b(row);
  if (a.parameter == b.parameter && a.requires_grad == b.requires_grad) return;
  report_.other_autograd.push_back(row.a->path);
}

/// A DTensor that is whole in its file is compared like the plain tensor that it holds.
void Differ::take_whole(Row& row) {
  const auto plain = [](const Checkpoint& checkpoint, uint32_t index) {
    const Tensor& tensor = checkpoint.tensors[index];
    if (is_whole_distributed(checkpoint, tensor)) return local_part(checkpoint, tensor);
    return tensor.kind == TensorKind::other ? kNoIndex : index;
  };
  const uint32_t a = plain(a_, row.a->tensor);
  const uint32_t b = plain(b_, row.b->tensor);
  const bool distributed = a != row.a->tensor || b != row.b->tensor;
  if (distributed && a != kNoIndex && b != kNoIndex) take_local(row, a, b);
}

Status Differ::classify(Row& row) {
  const Tensor& a = tensor_a(row);
  const Tensor& b = tensor_b(row);
  ++report_.common;
  const bool tied = a.storage != kNoIndex && !counted_.insert(identity_of(a_, a)).second;
  if (!tied && a.kind != TensorKind::meta) report_.bytes += stored_bytes(a_, a);
  report_.without_values += a.kind == TensorKind::meta && b.kind == TensorKind::meta ? 1 : 0;
  if (options_.depth == DiffDepth::keys) return {};
  row.same_dtype = a.dtype == b.dtype;
  if (layout_name(a_, a) != layout_name(b_, b)) {
    row.question = Question::answered;
    row.answer = DiffKind::layout;
    return {};
  }
  return ask_kind(row, a, b);
}

/// Says what is walked of a row of elements, and adds it to what A and B may make in full.
Status Differ::find_extent(Row& row) {
  const Tensor& a = tensor_a(row);
  const Tensor& b = tensor_b(row);
  const Dims strides_a = a_.strides(a);
  const Dims strides_b = b_.strides(b);
  std::vector<int64_t> strides(strides_a.begin(), strides_a.end());
  for (size_t d = 0; d < strides.size(); ++d) strides[d] |= strides_b[d];
  row.sizes = sizes_without_repeats(a_.sizes(a), strides);
  const auto add = [&row](ExpansionBudget& budget, const Checkpoint& checkpoint, uint32_t tensor) {
    Status added = budget.add(tensor, row.sizes);
    if (added.ok()) return added;
    return Status(std::move(added)
                      .error()
                      .during("tensor " + printable(row.a->path))
                      .in_file(checkpoint.path));
  };
  MLC_CHECK(add(budget_a_, a_, row.a->tensor));
  return add(budget_b_, b_, row.b->tensor);
}

void Differ::cut(size_t index) {
  Row& row = rows_[index];
  const Tensor& a = tensor_a(row);
  const Tensor& b = tensor_b(row);
  const auto count = static_cast<uint64_t>(element_count(row.sizes).value_or(0));
  row.plain = is_plain(a_, a, row.sizes) && is_plain(b_, b, row.sizes);
  row.first_piece = pieces_.size();
  const uint64_t step = row.plain ? kPieceBytes / element_bytes(a.dtype) : count;
  for (uint64_t begin = 0; begin < count; begin += step) {
    pieces_.push_back({index, begin, std::min(step, count - begin)});
  }
  row.end_piece = pieces_.size();
}

/// Calls VISIT(a, b) with the bytes of the piece, in order, until it returns false.
template <class Visit>
Status Differ::walk(const Piece& piece, const Visit& visit) const {
  if (reporter_.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
  const Row& row = rows_[piece.row];
  MLC_TRY(const TensorView a, view_of(a_, *row.a, row.sizes));
  MLC_TRY(const TensorView b, view_of(b_, *row.b, row.sizes));
  if (row.plain) {
    const uint64_t width_a = element_bytes(a.dtype);
    const uint64_t width_b = element_bytes(b.dtype);
    visit(a.plain_bytes().subspan(piece.begin * width_a, piece.count * width_a),
          b.plain_bytes().subspan(piece.begin * width_b, piece.count * width_b));
    return {};
  }
  MLC_TRY(ViewReader reader_a, ViewReader::open(a));
  MLC_TRY(ViewReader reader_b, ViewReader::open(b));
  for (;;) {
    const Bytes block = reader_a.next(kBlockElements);
    if (block.empty() || !visit(block, reader_b.next(kBlockElements))) return {};
  }
}

Status Differ::find_differing() {
  return parallel_for(pieces_.size(), options_.threads, [this](size_t i) -> Status {
    const Piece& piece = pieces_[i];
    const Row& row = rows_[piece.row];
    std::atomic<bool>& differs = differs_[piece.row];
    if (!row.same_dtype) {
      differs.store(true, std::memory_order_relaxed);
      return {};
    }
    if (!differs.load(std::memory_order_relaxed)) {
      MLC_CHECK(walk(piece, [&differs](Bytes a, Bytes b) {
        const bool same = equal_bytes(a, b);
        if (!same) differs.store(true, std::memory_order_relaxed);
        return same;
      }));
    }
    reporter_.advance(piece.count * element_bytes(tensor_a(row).dtype));
    return {};
  });
}

Status Differ::measure() {
  comparers_.resize(pieces_.size());
  return parallel_for(pieces_.size(), options_.threads, [this](size_t i) -> Status {
    const Piece& piece = pieces_[i];
    if (!differs_[piece.row].load(std::memory_order_relaxed)) return {};
    const Row& row = rows_[piece.row];
    const DType dtype = tensor_a(row).dtype;
    Comparer& comparer = comparers_[i].emplace(dtype, tensor_b(row).dtype, options_.tolerance);
    MLC_CHECK(walk(piece, [&comparer](Bytes a, Bytes b) {
      comparer.add(a, b);
      return true;
    }));
    if (!row.same_dtype) reporter_.advance(piece.count * element_bytes(dtype));
    return {};
  });
}

/// Of all pieces of a row, and of what its expanded dimensions repeat.
CompareResult Differ::compared_values(const Row& row) const {
  Comparer whole(tensor_a(row).dtype, tensor_b(row).dtype, options_.tolerance);
  for (size_t i = row.first_piece; i < row.end_piece; ++i) whole.merge(*comparers_[i]);
  const Dims sizes = a_.sizes(tensor_a(row));
  if (std::ranges::equal(row.sizes, sizes)) return whole.result();
  const auto all = static_cast<uint64_t>(element_count(sizes).value_or(0));
  const auto walked = static_cast<uint64_t>(element_count(row.sizes).value_or(0));
  whole.repeat(walked == 0 ? 1 : all / walked);
  CompareResult out = whole.result();
  if (out.first_mismatch) {
    const uint64_t each = values_per_element(tensor_a(row).dtype) /
                          (info(tensor_a(row).dtype).kind == DTypeClass::complex ? 2 : 1);
    out.first_mismatch = index_in_whole(*out.first_mismatch / each, row.sizes, sizes) * each +
                         *out.first_mismatch % each;
  }
  return out;
}

void Differ::report_elements(const Row& row, Difference difference) {
  const size_t index = static_cast<size_t>(&row - rows_.data());
  const size_t compared = row.twin != kNoRow ? row.twin : index;
  const bool counts_dtype = !row.same_dtype && !options_.ignore_dtype;
  if (row.same_dtype && !differs_[compared].load()) return;
  difference.values = compared_values(rows_[compared]);
  difference.reason = row.reason;
  if (difference.values->mismatches == 0 && !counts_dtype) {
    ++report_.value_equal;
    return;
  }
  difference.kind = counts_dtype ? DiffKind::dtype : DiffKind::value;
  report_.differences.push_back(std::move(difference));
}

void Differ::report_rows() {
  for (const Row& row : rows_) {
    Difference difference;
    difference.key = row.a != nullptr ? row.a->path : row.b->path;
    if (row.a != nullptr) difference.a = row.a->tensor;
    if (row.b != nullptr) difference.b = row.b->tensor;
    if (row.a == nullptr || row.b == nullptr) {
      difference.kind = row.a != nullptr ? DiffKind::only_in_a : DiffKind::only_in_b;
    } else if (row.question == Question::answered) {
      difference.kind = row.answer;
      difference.reason = row.reason;
    } else if (row.question == Question::elements) {
      report_elements(row, std::move(difference));
      continue;
    } else {
      continue;
    }
    report_.differences.push_back(std::move(difference));
  }
}

void Differ::report_sharing() {
  std::vector<NamedTensor> in_a;
  std::vector<NamedTensor> in_b;
  for (const Row& row : rows_) {
    if (row.a == nullptr || row.b == nullptr) continue;
    in_a.push_back(*row.a);
    in_b.push_back(*row.b);
  }
  auto groups_a = summarize(a_, in_a).shared;
  auto groups_b = summarize(b_, in_b).shared;
  std::ranges::sort(groups_a);  // names follow the order of A on both sides already
  std::ranges::sort(groups_b);
  std::ranges::set_difference(groups_a, groups_b, std::back_inserter(report_.shared_in_a));
  std::ranges::set_difference(groups_b, groups_a, std::back_inserter(report_.shared_in_b));
}

Result<DiffReport> Differ::run(const std::vector<NamedTensor>& tensors_a,
                               const std::vector<NamedTensor>& tensors_b) {
  match(tensors_a, tensors_b);
  std::map<std::pair<uint32_t, uint32_t>, size_t> compared;
  const bool keep_objects = both_keep_objects(a_, b_);
  uint64_t total = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    Row& row = rows_[i];
    if (row.a == nullptr || row.b == nullptr) continue;
    if (row.a->spelling != row.b->spelling && keep_objects) {
      row.question = Question::answered;
      row.answer = DiffKind::key_type;
      row.reason = key_types_text(*row.a, *row.b);
      continue;
    }
    if (keep_objects && options_.depth != DiffDepth::keys) note_autograd(row);
    take_whole(row);
    MLC_CHECK(classify(row));
    if (row.question != Question::elements) continue;
    const auto [at, is_new] = compared.try_emplace({row.a->tensor, row.b->tensor}, i);
    if (!is_new) {
      row.twin = at->second;
      continue;
    }
    MLC_CHECK(find_extent(row));
    cut(i);
    total += static_cast<uint64_t>(element_count(row.sizes).value_or(0)) *
             element_bytes(tensor_a(row).dtype);
  }
  const auto budgets = {std::pair(&budget_a_, &a_), std::pair(&budget_b_, &b_)};
  for (const auto& [budget, checkpoint] : budgets) {
    Status within = budget->check();
    if (!within.ok()) return std::move(within).error().in_file(checkpoint->path);
  }
  differs_ = std::vector<std::atomic<bool>>(rows_.size());
  if (!pieces_.empty()) {
    const ProgressScope progress(reporter_, "comparing", total);
    MLC_CHECK(find_differing());
    MLC_CHECK(measure());
  }
  report_rows();
  if (options_.depth != DiffDepth::keys) report_sharing();
  return std::move(report_);
}

}  // namespace

namespace {

/// TENSORS, and behind them what some of them are rebuilt from.
std::vector<NamedTensor> with_parts(const Checkpoint& checkpoint,
                                    std::vector<NamedTensor> tensors) {
  const size_t count = tensors.size();
  for (size_t i = 0; i < count; ++i) {
    for (const uint32_t part :
         stored_parts(checkpoint, checkpoint.tensors[tensors[i].tensor]).tensors) {
      tensors.push_back({tensors[i].path, part});
    }
  }
  return tensors;
}

}  // namespace

std::string_view diff_kind_name(DiffKind kind) {
  static constexpr std::string_view kNames[] = {"only_in_a", "only_in_b", "key_type", "layout",
                                                "shape",     "dtype",     "value",    "uncompared"};
  return kNames[static_cast<size_t>(kind)];
}

uint64_t DiffReport::count(DiffKind kind) const {
  return static_cast<uint64_t>(std::ranges::count(differences, kind, &Difference::kind));
}

void sort_by_movement(std::vector<Difference>& differences) {
  const auto moved = [](const Difference& one) {
    if (!one.values) return std::numeric_limits<double>::infinity();
    const bool zero = one.values->max_abs == 0;
    return one.values->rel_norm.value_or(zero ? 0 : std::numeric_limits<double>::max());
  };
  std::ranges::stable_sort(differences, std::greater(), moved);
}

std::string layout_name(const Checkpoint& checkpoint, const Tensor& tensor) {
  if (tensor.kind == TensorKind::dense && tensor.storage != kNoIndex) return "dense";
  if (tensor.kind == TensorKind::dense || tensor.detail == kNoIndex) return "meta";
  return checkpoint.details[tensor.detail];
}

Result<DiffReport> diff_tensors(const Checkpoint& a, const std::vector<NamedTensor>& tensors_a,
                                const Checkpoint& b, const std::vector<NamedTensor>& tensors_b,
                                const DiffOptions& options, Reporter& reporter) {
  if (options.depth == DiffDepth::values) {
    // Damaged values say nothing about the tensors that were saved.
    MLC_CHECK(check_storages(a, with_parts(a, tensors_a), options.threads));
    MLC_CHECK(check_storages(b, with_parts(b, tensors_b), options.threads));
  }
  return Differ(a, b, options, reporter).run(tensors_a, tensors_b);
}

}  // namespace mlc
