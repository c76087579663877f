// For builds whose sanitizer has replaced malloc already.

#include "tests/parallel/allocation_counter.h"

namespace equipoise::testing_support {

bool CountsAllocations() { return false; }
void StartCountingAllocations() {}
AllocationCount StopCountingAllocations() { return {}; }

}  // namespace equipoise::testing_support
