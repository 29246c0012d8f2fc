// Edits of a checkpoint that are only tried, for what would come of them.
#pragma once

#include "mlc/checkpoint/checkpoint.h"

#include <utility>

namespace mlc {

/// While it lives CHECKPOINT can be edited: its graph, tensors and storages. Then all is as it was
/// before. No tensor that was added may be read, which would be remembered.
class TriedEdit {
 public:
  explicit TriedEdit(Checkpoint& checkpoint)
      : checkpoint_(checkpoint),
        graph_(std::move(checkpoint.graph)),
        root_(checkpoint.root),
        storages_(checkpoint.storages),
        tensors_(checkpoint.tensors),
        tensor_nodes_(checkpoint.tensor_nodes),
        storage_nodes_(checkpoint.storage_nodes),
        dims_(checkpoint.dims),
        details_(checkpoint.details) {
    checkpoint_.graph = graph_;  // which borrows the text of the other
  }
  TriedEdit(const TriedEdit&) = delete;
  TriedEdit& operator=(const TriedEdit&) = delete;
  ~TriedEdit() {
    checkpoint_.graph = std::move(graph_);
    checkpoint_.root = root_;
    checkpoint_.storages = std::move(storages_);
    checkpoint_.tensors = std::move(tensors_);
    checkpoint_.tensor_nodes = std::move(tensor_nodes_);
    checkpoint_.storage_nodes = std::move(storage_nodes_);
    checkpoint_.dims = std::move(dims_);
    checkpoint_.details = std::move(details_);
  }

 private:
  Checkpoint& checkpoint_;
  pickle::Graph graph_;
  NodeId root_;
  std::vector<Storage> storages_;
  std::vector<Tensor> tensors_;
  std::vector<std::pair<NodeId, uint32_t>> tensor_nodes_;
  std::vector<std::pair<NodeId, uint32_t>> storage_nodes_;
  std::vector<int64_t> dims_;
  std::vector<std::string> details_;
};

}  // namespace mlc
