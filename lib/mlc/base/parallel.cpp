#include "mlc/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include <sched.h>

namespace mlc {

unsigned default_threads() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
  }
  return std::max(1U, std::thread::hardware_concurrency());
}

namespace {

/// What BODY does; an exception would end the process on any thread but the first.
Status guarded(const std::function<Status(size_t)>& body, size_t i) {
  try {
    return body(i);
  } catch (const std::bad_alloc&) {
    return read_failed("not enough memory", ENOMEM);
  }
}

/// Runs WORK on so many THREADS more, or on fewer where the system has no more to give.
std::vector<std::jthread> start(unsigned threads, const std::function<void()>& work) {
  std::vector<std::jthread> pool;
  try {
    for (unsigned t = 0; t < threads; ++t) pool.emplace_back(work);
  } catch (const std::system_error&) {
    return pool;
  }
  return pool;
}

}  // namespace

Status parallel_for(size_t count, unsigned threads, const std::function<Status(size_t)>& body) {
  threads = static_cast<unsigned>(std::min<size_t>(std::max(1U, threads), count));
  if (threads <= 1) {
    for (size_t i = 0; i < count; ++i) MLC_CHECK(body(i));
    return {};
  }

  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::optional<Error> first_error;
  size_t first_index = count;
  auto work = [&] {
    while (!stop.load(std::memory_order_relaxed)) {
      const size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count) return;
      Status status = guarded(body, i);
      if (status.ok()) continue;
      stop = true;
      const std::lock_guard lock(mutex);
      if (i < first_index) {
        first_index = i;
        first_error.emplace(std::move(status).error());
      }
    }
  };
  std::vector<std::jthread> pool = start(threads - 1, work);
  work();
  pool.clear();
  if (first_error) return std::move(*first_error);
  return {};
}

}  // namespace mlc
