#include "comm/decorators/timing.h"

#include <chrono>
#include <utility>

#include "comm/decorators/decorator.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

// Adds the time until its end to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() {
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& seconds_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class TimedWork final : public Work::State {
 public:
  TimedWork(Work inner, VerbTimes::Times& times) : inner_(std::move(inner)), times_(times) {}

  bool Test() override {
    const Stopwatch watch(times_.wait_seconds);
    if (!inner_.Test()) return false;
    outcome_ = inner_.Wait();
    return true;
  }
  absl::Status status() const override { return outcome_; }
  absl::Status Wait(const WaitOptions& options) override {
    const Stopwatch watch(times_.wait_seconds);
    outcome_ = inner_.Wait(options);
    return outcome_;
  }

 private:
  Work inner_;
  VerbTimes::Times& times_;
  absl::Status outcome_;
};

class Timing final : public Decorator {
 public:
  Timing(Communicator& inner, VerbTimes& times) : Decorator(inner), times_(times) {}
  Timing(std::unique_ptr<Communicator> inner, VerbTimes& times)
      : Decorator(std::move(inner)), times_(times) {}

 private:
  absl::StatusOr<Work> Run(const Context& context, const Call& call) override {
    VerbTimes::Times& times = times_[call.verb];
    ++times.calls;
    const Stopwatch watch(times.start_seconds);
    EQ_ASSIGN_OR_RETURN(Work work, Forward(context, call));
    return Work(std::make_unique<TimedWork>(std::move(work), times));
  }

  absl::StatusOr<std::unique_ptr<Communicator>> Wrap(std::unique_ptr<Communicator> group) override {
    ++times_[Verb::kSplit].calls;
    return MakeTiming(std::move(group), times_);
  }

  VerbTimes& times_;
};

}  // namespace

double VerbTimes::total_seconds() const {
  double total = 0;
  for (const Times& times : verbs) total += times.start_seconds + times.wait_seconds;
  return total;
}

std::unique_ptr<Communicator> MakeTiming(Communicator& inner, VerbTimes& times) {
  return std::make_unique<Timing>(inner, times);
}

std::unique_ptr<Communicator> MakeTiming(std::unique_ptr<Communicator> inner, VerbTimes& times) {
  return std::make_unique<Timing>(std::move(inner), times);
}

}  // namespace equipoise::comm
