#ifndef EQUIPOISE_TESTS_PARALLEL_ALLOCATION_COUNTER_H_
#define EQUIPOISE_TESTS_PARALLEL_ALLOCATION_COUNTER_H_

#include <cstdint>

// Counts what the process takes from the heap, by any thread and any library in it. Linking it
// replaces malloc, so it is for a test program of its own; its counters are of the process because
// the heap is.
namespace equipoise::testing_support {

// Allocations of this size or more are "large".
inline constexpr int64_t kLargeAllocation = int64_t{64} << 10;

struct AllocationCount {
  int64_t large = 0;
  int64_t largest_bytes = 0;
  // Large ones inside oneDNN, which packs the operands of a product into memory of its own, and
  // offers no way to give it some. In none of the other figures.
  int64_t large_in_onednn = 0;
  int64_t small = 0;
  int64_t small_bytes = 0;
};

// False in builds whose sanitizer owns malloc.
bool CountsAllocations();
// Sets the counts to zero and starts, or stops, counting.
void StartCountingAllocations();
AllocationCount StopCountingAllocations();

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_PARALLEL_ALLOCATION_COUNTER_H_
