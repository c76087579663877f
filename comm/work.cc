#include "comm/work.h"

#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/wait_clock.h"

namespace equipoise::comm {
namespace {

// Not known here; the state's own messages name the rank.
constexpr int kUnknownRank = -1;

void FinishAbandoned(Work::State& state) {
  if (state.Test()) {
    if (!state.status().ok()) {
      ReportToStderr('E', kUnknownRank,
                     absl::StrCat("nobody waited for: ", state.status().ToString()));
    }
    return;
  }
  WaitOptions options;
  options.name = "collective destroyed before it was complete";
  const absl::Status status = state.Wait(options);
  if (absl::IsUnavailable(status)) return;  // a lost node, of which the user knows already
  ReportToStderr('E', kUnknownRank, absl::StrCat(options.Describe(), ": ", status.ToString()));
}

class Joined final : public Work::State {
 public:
  Joined(Work first, Work second) : first_(std::move(first)), second_(std::move(second)) {}

  bool Test() override {
    const bool first = first_.Test();
    if (!second_.Test() || !first) return false;
    outcome_ = first_.Wait();
    if (outcome_.ok()) outcome_ = second_.Wait();
    return true;
  }
  absl::Status status() const override { return outcome_; }
  absl::Status Wait(const WaitOptions& options) override {
    const std::function<void()> both = [&] {
      second_.Test();
      if (options.meanwhile != nullptr) (*options.meanwhile)();
    };
    WaitOptions wait = options;
    wait.meanwhile = &both;
    outcome_ = first_.Wait(wait);
    wait.meanwhile = options.meanwhile;
    // When one has failed nobody waits for the other.
    if (!outcome_.ok()) wait.stop_after = absl::ZeroDuration();
    const absl::Status second = second_.Wait(wait);
    if (outcome_.ok()) outcome_ = second;
    return outcome_;
  }

 private:
  Work first_;
  Work second_;
  absl::Status outcome_;
};

}  // namespace

Work Join(Work first, Work second) {
  return Work(std::make_unique<Joined>(std::move(first), std::move(second)));
}

std::string WaitOptions::Describe() const {
  std::string text = name;
  if (place.layer >= 0) absl::StrAppend(&text, " of layer ", place.layer);
  if (place.validation) {
    absl::StrAppend(&text, ", validation after step ", place.step);
  } else if (place.step > 0) {
    absl::StrAppend(&text, ", step ", place.step);
  }
  if (place.micro_batch > 0) absl::StrAppend(&text, ", micro-batch ", place.micro_batch);
  return text;
}

Work::~Work() {
  if (state_ != nullptr) FinishAbandoned(*state_);
}

Work& Work::operator=(Work&& other) noexcept {
  if (this == &other) return *this;
  if (state_ != nullptr) FinishAbandoned(*state_);
  state_ = std::move(other.state_);
  outcome_ = std::exchange(other.outcome_, absl::OkStatus());
  return *this;
}

bool Work::Test() {
  if (state_ == nullptr) return true;
  if (!state_->Test()) return false;
  outcome_ = state_->status();
  state_.reset();
  return true;
}

absl::Status Work::Wait(const WaitOptions& options) {
  if (state_ == nullptr) return outcome_;
  outcome_ = state_->Wait(options);
  state_.reset();
  return outcome_;
}

}  // namespace equipoise::comm
