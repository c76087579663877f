#ifndef EQUIPOISE_PARALLEL_AUTO_EXCHANGE_H_
#define EQUIPOISE_PARALLEL_AUTO_EXCHANGE_H_

#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/topology.h"
#include "parallel/expert_exchange.h"

namespace equipoise::parallel {

// Plans with the algorithm whose transfers it expects to take the least time, of each layer and
// micro-batch anew, from the counts that every rank holds anyway: ranks choose alike without
// another collective. A candidate must be expected to be faster than those before it, by 8 % if it
// has more steps. Links that are not known cost nothing.
class AutoExchange final : public ExpertExchange {
 public:
  // `candidates`, of the same setting, the simplest first.
  AutoExchange(Setting setting, std::vector<std::unique_ptr<ExpertExchange>> candidates);

  const std::string& name() const override { return name_; }
  const std::string& AlgorithmOf(const ExchangePlan& plan) const override {
    return Candidate(plan).name();
  }
  // The candidate for these counts; of ids [T, K] and gates [T, K] only their sizes matter.
  const ExpertExchange& Choose(const ExchangeCounts& counts, ConstTensorView expert_ids,
                               ConstTensorView gates) const {
    return *candidates_[ChosenIndex(counts, expert_ids, gates)];
  }
  absl::StatusOr<std::vector<ExchangePlan>> Plan(const Context& context, Workspace& space,
                                                 const ExchangeCounts& counts,
                                                 ConstTensorView expert_ids, TensorView gates,
                                                 const comm::WaitPlace& place) override;
  absl::StatusOr<PendingRows> Dispatch(const Context& context, Workspace& space,
                                       const ExchangePlan& plan, ConstTensorView x,
                                       const InputTerm& term) override;
  absl::StatusOr<PendingRows> DispatchBackward(const Context& context, const ExchangePlan& plan,
                                               TensorView drows, TensorView dx) override;
  absl::StatusOr<PendingRows> Combine(const Context& context, Workspace& space,
                                      const ExchangePlan& plan, TensorView outputs,
                                      TensorView y) override;
  absl::StatusOr<PendingRows> CombineBackward(const Context& context, const ExchangePlan& plan,
                                              ConstTensorView kept, ConstTensorView dy,
                                              TensorView dgates) override;

 private:
  size_t ChosenIndex(const ExchangeCounts& counts, ConstTensorView expert_ids,
                     ConstTensorView gates) const;
  ExpertExchange& Candidate(const ExchangePlan& plan) const {
    return *candidates_[static_cast<size_t>(plan.candidate)];
  }

  const std::string name_ = "auto";
  const std::vector<std::unique_ptr<ExpertExchange>> candidates_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_AUTO_EXCHANGE_H_
