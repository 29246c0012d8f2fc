#pragma once

namespace mlc::cli {

/// Asks the kernel for large pages under this process's heap, before anything large is allocated: a
/// checkpoint of 100,000 tensors is a graph of some million small nodes, and a third of the time to
/// list it went into page faults. Only advice: where the C library or the kernel cannot follow it,
/// nothing changes. Call once, before other threads exist; not where LibTorch computes, whose
/// convolutions take 3 % longer in such a heap.
void prefer_large_pages();

}  // namespace mlc::cli
