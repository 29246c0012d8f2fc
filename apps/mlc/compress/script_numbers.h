// Numbers that a TorchScript program states of its channels: view(-1, 12, 64), groups=32.
#pragma once

#include "compress/channel_picture.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_prune/choose.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mlc::cli {

class ScriptNumbers {
 public:
  /// SIZES_VARY: numbers that the program computes from sizes of its inputs are known as such.
  /// PICTURE, with sites, must outlive this.
  ScriptNumbers(const ChannelPicture& picture, bool sizes_vary)
      : picture_(picture), sizes_vary_(sizes_vary) {}

  /// Finds all that count channels of GRAPH, which was found in WHOLE. Makes channels go together
  /// that one number counts, and those stay whose numbers cannot be exchanged, with the reason.
  void restrict(const onnx::Document& whole, const onnx::ValueAxes& values,
                onnx::ChannelGraph& graph);
  /// What becomes of them, for ResizeRequest. FIXES: those that the program computes are stated, as
  /// it may compute them of channels that go. Requires: PLAN is of the graph of restrict().
  std::map<size_t, int64_t> changed(onnx::ChannelPlan& plan, bool fixes) const;

  struct Stated {
    size_t place = 0;
    int64_t value = 0;     // COUNTED * TIMES / DIVISOR
    onnx::Labels counted;  // empty: it has to stay
    int64_t times = 1;
    int64_t divisor = 1;
    std::string where;
    bool is_computed = false;
  };

 private:
  void freeze_unknown(const onnx::Document& whole, onnx::ChannelGraph& graph) const;
  void agree(onnx::ChannelGraph& graph) const;

  const ChannelPicture& picture_;
  bool sizes_vary_;
  std::vector<Stated> stated_;
};

}  // namespace mlc::cli
