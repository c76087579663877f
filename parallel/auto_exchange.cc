#include "parallel/auto_exchange.h"

#include <limits>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "parallel/exchange_forecast.h"

namespace equipoise::parallel {
namespace {

// Every step of an algorithm waits for the slowest rank, which links do not explain: one of more
// steps must be faster by this factor.
constexpr double kWorthwhile = 0.92;

}  // namespace

AutoExchange::AutoExchange(Setting setting, std::vector<std::unique_ptr<ExpertExchange>> candidates)
    : ExpertExchange(std::move(setting)), candidates_(std::move(candidates)) {
  EQ_CHECK(!candidates_.empty());
}

size_t AutoExchange::ChosenIndex(const ExchangeCounts& counts, ConstTensorView expert_ids,
                                 ConstTensorView gates) const {
  size_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  int steps_of_best = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    const std::string& algorithm = candidates_[i]->name();
    const std::vector<ExpectedTransfers> transfers =
        TransfersOf(algorithm, counts, expert_ids, gates);
    const double seconds = learner_.Predict(algorithm, transfers);
    const int steps = NumSteps(transfers, row_bytes_);
    if (i > 0 && seconds >= least * (steps > steps_of_best ? kWorthwhile : 1.0)) continue;
    least = seconds;
    steps_of_best = steps;
    best = i;
  }
  return best;
}

absl::StatusOr<std::vector<ExchangePlan>> AutoExchange::Plan(
    const Context& context, Workspace& space, const ExchangeCounts& counts,
    ConstTensorView expert_ids, TensorView gates, const comm::WaitPlace& place) {
  const size_t best = ChosenIndex(counts, expert_ids, gates);
  EQ_ASSIGN_OR_RETURN(std::vector<ExchangePlan> plans,
                      candidates_[best]->Plan(context, space, counts, expert_ids, gates, place));
  for (ExchangePlan& plan : plans) plan.candidate = static_cast<int>(best);
  return plans;
}

absl::StatusOr<PendingRows> AutoExchange::Dispatch(const Context& context, Workspace& space,
                                                   const ExchangePlan& plan, ConstTensorView x,
                                                   const InputTerm& term) {
  return Candidate(plan).Dispatch(context, space, plan, x, term);
}

absl::StatusOr<PendingRows> AutoExchange::DispatchBackward(const Context& context,
                                                           const ExchangePlan& plan,
                                                           TensorView drows, TensorView dx) {
  return Candidate(plan).DispatchBackward(context, plan, drows, dx);
}

absl::StatusOr<PendingRows> AutoExchange::Combine(const Context& context, Workspace& space,
                                                  const ExchangePlan& plan, TensorView outputs,
                                                  TensorView y) {
  return Candidate(plan).Combine(context, space, plan, outputs, y);
}

absl::StatusOr<PendingRows> AutoExchange::CombineBackward(const Context& context,
                                                          const ExchangePlan& plan,
                                                          ConstTensorView kept, ConstTensorView dy,
                                                          TensorView dgates) {
  return Candidate(plan).CombineBackward(context, plan, kept, dy, dgates);
}

}  // namespace equipoise::parallel
