#ifndef EQUIPOISE_PARALLEL_EXCHANGE_LEARNER_H_
#define EQUIPOISE_PARALLEL_EXCHANGE_LEARNER_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "comm/exchange/transfer.h"
#include "comm/link_estimate.h"
#include "comm/link_model.h"
#include "comm/topology.h"
#include "parallel/exchange_counts.h"
#include "parallel/exchange_forecast.h"

namespace equipoise::parallel {

// What is expected of one layer's exchange for one micro-batch.
struct ExchangeForecast {
  std::string algorithm;  // never "auto"
  std::vector<ExpectedTransfers> transfers;
  double seconds = 0.0;  // of all of them, forward and backward, as if nothing else went on
};

// Predicts exchanges, and corrects what links are thought to cost by what their forward passes
// took. Every rank clocks its own; the next exchange of counts tells all ranks what each of them
// saw, so that all learn alike, without a message more. A pass begins when its plan is made, just
// after counts were exchanged and so on all ranks at about the same time, and it is over with the
// last of them: what it took, less what the rank that computed longest with nothing under way
// computed, is what its transfers took. With chunks, which travel side by side while predictions
// add them up, links are learnt as they serve such exchanges.
//
// What is learnt counts from the next step on: within one, the same counts have the same forecast,
// also in a layer that runs again.
//
// Of one rank and group; the estimate may be shared with other learners of the rank.
class ExchangeLearner {
 public:
  ExchangeLearner(comm::Topology topology, std::shared_ptr<comm::LinkEstimate> estimate)
      : topology_(std::move(topology)), estimate_(std::move(estimate)), known_(*estimate_) {}

  // A step, or an evaluation, begins.
  void BeginStep() { known_ = *estimate_; }

  // By what was known when the step began.
  double Predict(const std::string& algorithm,
                 const std::vector<ExpectedTransfers>& transfers) const;
  ExchangeForecast Forecast(std::string algorithm, std::vector<ExpectedTransfers> transfers) const;

  // As they are thought to be now.
  const comm::LinkModel& links() const { return estimate_->links(); }
  std::vector<std::pair<std::string, double>> factors() const;

  // The forward pass of this exchange begins, alike on all ranks.
  void Begin(const ExchangeForecast& forecast);
  // It has ended, with these times of the rank's transfers since the last pass.
  void End(const comm::TransferTimes& times);

  // Of the pass that has ended, on this rank: what the others are to be told.
  const PassNanoseconds& last_pass() const { return pass_; }
  // Of that pass, on all ranks [R]. The first of each algorithm is passed over: it opens
  // connections and touches memory that later ones find.
  void Learn(const std::vector<PassNanoseconds>& passes);

 private:
  using Clock = std::chrono::steady_clock;

  const comm::Topology topology_;
  const std::shared_ptr<comm::LinkEstimate> estimate_;
  comm::LinkEstimate known_;  // when the step began
  Clock::time_point began_;
  PassNanoseconds pass_;
  // Of the pass that was begun last.
  comm::LinkUses uses_ = {};
  size_t algorithm_ = 0;
  std::array<bool, kExchangeAlgorithms.size()> warm_ = {};
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_EXCHANGE_LEARNER_H_
