// Would load_state_dict accept this checkpoint? The three lists of torch.nn.Module.load_state_dict,
// from names and shapes alone.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// A tensor inside a value.
struct ExpectedPart {
  std::string name;
  std::vector<int64_t> shape;
};

/// A key of a state_dict; not all are of tensors.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
  bool has_shape = true;
  bool is_tensor = true;
  std::vector<ExpectedPart> parts = {};  // what a quantised module packed under the key
  std::string form =
      {};  // "dense", "sparse_coo", "qint8", "meta": what copy_() asks; empty: unknown
  std::string tied_to = {};  // the key of the tensor that this one is too; empty: its own
};

/// A missing key whose tensor is there under another one.
struct TiedKey {
  std::string name;
  std::string under;
};

/// A key whose tensor PyTorch does not copy into the one that is expected, whatever the shapes.
struct FormMismatch {
  std::string name;
  std::string found;
  std::string expected;
};

struct ShapeMismatch {
  std::string name;
  std::vector<int64_t> found;
  std::vector<int64_t> expected;
};

struct ExpectOptions {
  bool strict = true;                                    // missing and unexpected keys count
  bool ignore_shapes = false;                            // mismatched shapes do not count
  std::function<bool(std::string_view)> ignore_missing;  // keys that may be missing; may be empty
  std::function<bool(std::string_view)> ignore_unexpected;  // keys that may be there; may be empty
  /// The version in `_metadata` of a module ("layer1.bn") in what is found. Where given, files of
  /// old PyTorch pass as load_state_dict lets them: batch norms before version 2 lack
  /// num_batches_tracked, scalars have the shape [1], and weight_norm had weight_g and weight_v.
  std::function<std::optional<int64_t>(std::string_view)> module_version;
};

struct ExpectReport {
  std::vector<std::string> missing;             // expected, not found
  std::vector<std::string> ignored;             // missing, but may be
  std::vector<std::string> filled;              // missing, but load_state_dict adds them itself
  std::vector<TiedKey> tied;                    // missing, but there under a key that is tied to it
  std::vector<std::string> unexpected;          // found, not expected
  std::vector<std::string> ignored_unexpected;  // unexpected, but may be there
  std::vector<std::string> no_tensors;          // found, but not as the tensors that are expected
  std::vector<ShapeMismatch> mismatched;
  std::vector<FormMismatch>
      other_forms;  // sparse, quantized or meta, expected dense, or the reverse
  // Ignored and filled keys count as missing for these where they are found like that.
  std::string extra_prefix;    // all unexpected keys are missing ones behind it
  std::string lacking_prefix;  // all missing keys are unexpected ones behind it
  std::string most_prefix;     // explains most of them like that, but not all; may be empty
  uint64_t prefixed = 0;       // how many
  bool most_lack_it = false;   // as in lacking_prefix, else as in extra_prefix
  std::string hint;            // "every key differs only by the prefix module."; may be empty
  bool satisfied = false;

  /// Whether KEY is found with the prefix more or less of which the hint speaks.
  bool is_there_prefixed(const std::string& key) const;

  /// In the words of PyTorch, a line for each list; empty if there is nothing to say.
  std::string text() const;
};

/// Ties, forms and the options say where load_state_dict() takes what differs, or refuses what does
/// not. Of several keys of one tensor it is enough to find one, as whoever ties them after loading
/// does with a strict=False.
ExpectReport check_expected(const std::vector<ExpectedTensor>& found,
                            const std::vector<ExpectedTensor>& expected,
                            const ExpectOptions& options);

std::vector<ExpectedTensor> expected_tensors(const Checkpoint& checkpoint,
                                             const std::vector<NamedTensor>& tensors);

/// Every text key of STATE_DICT. That of an extra state has no shape: load_state_dict gives it to
/// its module as it is.
std::vector<ExpectedTensor> expected_keys(const Checkpoint& checkpoint,
                                          const StateDict& state_dict);

/// The version that the `_metadata` of STATE_DICT has for MODULE, if any.
std::optional<int64_t> module_version(const Checkpoint& checkpoint, const StateDict& state_dict,
                                      std::string_view module);

/// What a manifest is compared with.
enum class ManifestFor : uint8_t { state_dict, whole_file };

/// A manifest: what `mlc load --json` prints, or a JSON object of name -> shape (null for
/// what is no tensor). Errors: usage; for a state_dict also where it lists those of several.
Result<std::vector<ExpectedTensor>> parse_manifest(std::string_view json, ManifestFor use);

}  // namespace mlc
