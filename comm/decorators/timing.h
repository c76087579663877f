#ifndef EQUIPOISE_COMM_DECORATORS_TIMING_H_
#define EQUIPOISE_COMM_DECORATORS_TIMING_H_

#include <array>
#include <cstdint>
#include <memory>

#include "comm/communicator.h"
#include "comm/verb.h"

namespace equipoise::comm {

// Where one rank's time in collectives went, by verb. Only time inside calls counts: what runs
// while the rank computes is free, and that is what overlap is for.
struct VerbTimes {
  struct Times {
    int64_t calls = 0;
    double start_seconds = 0;  // in the verb itself
    double wait_seconds = 0;   // in Work::Test and Work::Wait
  };
  std::array<Times, kNumVerbs> verbs;

  Times& operator[](Verb verb) { return verbs[static_cast<size_t>(verb)]; }
  const Times& operator[](Verb verb) const { return verbs[static_cast<size_t>(verb)]; }
  double total_seconds() const;
};

// Adds the time of every collective of `inner`, and of the groups split from it, to `times`, which
// must outlive them and their work. Not thread-safe: one `times` per rank.
std::unique_ptr<Communicator> MakeTiming(Communicator& inner, VerbTimes& times);
std::unique_ptr<Communicator> MakeTiming(std::unique_ptr<Communicator> inner, VerbTimes& times);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_DECORATORS_TIMING_H_
