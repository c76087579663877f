#include "comm/shared_memory.h"

#include <atomic>

namespace equipoise::comm {

static_assert(std::atomic_ref<uint64_t>::is_always_lock_free,
              "a lock would be in one process only");

void Flag::Raise(uint64_t number) const {
  std::atomic_ref<uint64_t>(*number_).store(number, std::memory_order_release);
}

bool Flag::Reached(uint64_t number) const {
  return std::atomic_ref<uint64_t>(*number_).load(std::memory_order_acquire) >= number;
}

void SharedWrites::Announce() const {
  for (const Flag& flag : written) flag.Raise(number);
}

bool SharedWrites::Arrived() {
  std::erase_if(awaited, [this](const Source& source) { return source.flag.Reached(number); });
  return awaited.empty();
}

std::vector<int> SharedWrites::Missing() const {
  std::vector<int> ranks;
  for (const Source& source : awaited) ranks.push_back(source.rank);
  return ranks;
}

}  // namespace equipoise::comm
