#ifndef EQUIPOISE_COMM_VERB_H_
#define EQUIPOISE_COMM_VERB_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace equipoise::comm {

// The collectives of Communicator, as values: for messages, statistics and fault plans.
enum class Verb : uint8_t {
  kBarrier,
  kBroadcast,
  kAllReduce,
  kReduceScatter,
  kAllGather,
  kAllToAllRows,
  kSplit,
  kAllocateShared,
  kExchangeWrites,
};

inline constexpr size_t kNumVerbs = 9;

constexpr const char* Name(Verb verb) {
  constexpr std::array<const char*, kNumVerbs> kNames = {
      "Barrier",      "Broadcast", "AllReduce",      "ReduceScatter", "AllGather",
      "AllToAllRows", "Split",     "AllocateShared", "ExchangeWrites"};
  return kNames[static_cast<size_t>(verb)];
}

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_VERB_H_
