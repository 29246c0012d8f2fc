#include "cli/heap.h"

#include <cstdint>
#include <cstdlib>

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

namespace mlc::cli {

void prefer_large_pages() {
#if defined(__GLIBC__) && !defined(MLC_SANITIZED)
  constexpr uintptr_t kLargePage = uintptr_t{2} << 20U;
  constexpr int kHeap = 128 << 20;  // address space only; pages come when they are touched
  // Large blocks lie in the heap, too, and none of it goes back before the process ends.
  mallopt(M_MMAP_THRESHOLD, kHeap / 2);
  mallopt(M_TRIM_THRESHOLD, kHeap);
  const auto begin = reinterpret_cast<uintptr_t>(sbrk(0)) & ~(kLargePage - 1);
  mallopt(M_TOP_PAD, kHeap);
  void* volatile block = std::malloc(size_t{1} << 20U);  // extends the heap, once, by kHeap
  std::free(block);
  mallopt(M_TOP_PAD, 1 << 20);
  const auto end = reinterpret_cast<uintptr_t>(sbrk(0)) & ~(kLargePage - 1);
  const uintptr_t first = begin + kLargePage;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
}

}  // namespace mlc::cli
