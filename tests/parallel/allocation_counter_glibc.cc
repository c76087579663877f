// Every way into the heap, counted and handed on to glibc's own functions. operator new comes here
// through malloc.

#include <dlfcn.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/parallel/allocation_counter.h"

extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* data, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
}

namespace equipoise::testing_support {
namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> large{0}, largest{0}, large_in_onednn{0}, small{0}, small_bytes{0};

bool IsInOneDnn(void* address) {
  Dl_info object;
  return dladdr(address, &object) != 0 && object.dli_fname != nullptr &&
         std::strstr(object.dli_fname, "libdnnl") != nullptr;
}

// `caller`: an address in the function that asks for memory.
void Count(size_t bytes, void* caller) {
  if (!counting.load(std::memory_order_relaxed)) return;
  const auto size = static_cast<int64_t>(bytes);
  if (size >= kLargeAllocation && IsInOneDnn(caller)) {
    large_in_onednn.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (size < kLargeAllocation) {
    small.fetch_add(1, std::memory_order_relaxed);
    small_bytes.fetch_add(size, std::memory_order_relaxed);
    return;
  }
  large.fetch_add(1, std::memory_order_relaxed);
  int64_t seen = largest.load(std::memory_order_relaxed);
  while (seen < size && !largest.compare_exchange_weak(seen, size)) {
  }
}

}  // namespace

bool CountsAllocations() { return true; }

void StartCountingAllocations() {
  for (std::atomic<int64_t>* count : {&large, &largest, &large_in_onednn, &small, &small_bytes})
    *count = 0;
  counting = true;
}

AllocationCount StopCountingAllocations() {
  counting = false;
  return {large, largest, large_in_onednn, small, small_bytes};
}

}  // namespace equipoise::testing_support

using equipoise::testing_support::Count;

extern "C" {

void* malloc(size_t bytes) {
  Count(bytes, __builtin_return_address(0));
  return __libc_malloc(bytes);
}

void* calloc(size_t count, size_t bytes) {
  Count(count * bytes, __builtin_return_address(0));
  return __libc_calloc(count, bytes);
}

void* realloc(void* data, size_t bytes) {
  Count(bytes, __builtin_return_address(0));
  return __libc_realloc(data, bytes);
}

void* memalign(size_t alignment, size_t bytes) {
  Count(bytes, __builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) {
  Count(bytes, __builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void** data, size_t alignment, size_t bytes) {
  Count(bytes, __builtin_return_address(0));
  void* const memory = __libc_memalign(alignment, bytes);
  if (memory == nullptr) return ENOMEM;
  *data = memory;
  return 0;
}

}  // extern "C"
