#include "comm/decorators/faulty.h"

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "comm/decorators/decorator.h"
#include "comm/wait_clock.h"

namespace equipoise::comm {
namespace {

// A collective that was never entered: nothing will ever complete it.
class DroppedWork final : public Work::State {
 public:
  explicit DroppedWork(OpLabel label) : label_(std::move(label)) {}

  bool Test() override { return false; }
  absl::Status status() const override { return outcome_; }
  absl::Status Wait(const WaitOptions& options) override {
    WaitClock clock(options, label_);
    while (outcome_.ok()) {
      std::this_thread::sleep_for(clock.UntilNextEvent());
      outcome_ = clock.Check([this] { return DescribeMissingRanks({label_.rank}, {}); });
    }
    return outcome_;
  }

 private:
  const OpLabel label_;
  absl::Status outcome_;
};

// Shared by a communicator and what is split from it.
struct Plan {
  Fault fault;
  int64_t calls = 0;
};

class Faulty final : public Decorator {
 public:
  Faulty(Communicator& inner, std::shared_ptr<Plan> plan)
      : Decorator(inner), plan_(std::move(plan)) {}
  Faulty(std::unique_ptr<Communicator> inner, std::shared_ptr<Plan> plan)
      : Decorator(std::move(inner)), plan_(std::move(plan)) {}

 private:
  absl::StatusOr<Work> Run(const Context& context, const Call& call) override {
    const Fault& fault = plan_->fault;
    const bool counts = !fault.verb.has_value() || *fault.verb == call.verb;
    const int64_t number = plan_->calls;
    plan_->calls += counts ? 1 : 0;
    if (!counts || number != fault.call) return Forward(context, call);
    switch (fault.kind) {
      case Fault::Kind::kFail:
        return fault.error;
      case Fault::Kind::kDelay:
        std::this_thread::sleep_for(absl::ToChronoNanoseconds(fault.delay));
        return Forward(context, call);
      case Fault::Kind::kDrop:
        break;
    }
    return Work(std::make_unique<DroppedWork>(
        OpLabel{Name(call.verb), static_cast<uint64_t>(number), name(), rank(), size()}));
  }

  absl::StatusOr<std::unique_ptr<Communicator>> Wrap(std::unique_ptr<Communicator> group) override {
    return std::make_unique<Faulty>(std::move(group), plan_);
  }

  const std::shared_ptr<Plan> plan_;
};

}  // namespace

std::unique_ptr<Communicator> MakeFaulty(Communicator& inner, const Fault& fault) {
  return std::make_unique<Faulty>(inner, std::make_shared<Plan>(Plan{.fault = fault}));
}

}  // namespace equipoise::comm
