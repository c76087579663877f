#include "parallel/exchange_learner.h"

#include <algorithm>
#include <utility>

namespace equipoise::parallel {

double ExchangeLearner::Predict(const std::string& algorithm,
                                const std::vector<ExpectedTransfers>& transfers) const {
  return estimate_->factor(static_cast<int>(IndexOfAlgorithm(algorithm))) *
         Seconds(topology_, estimate_->links(), transfers);
}

ExchangeForecast ExchangeLearner::Begin(std::string algorithm,
                                        std::vector<ExpectedTransfers> transfers) {
  ExchangeForecast forecast;
  forecast.seconds = Predict(algorithm, transfers);
  algorithm_ = IndexOfAlgorithm(algorithm);
  uses_ = ForwardUses(topology_, estimate_->links(), transfers);
  forecast.algorithm = std::move(algorithm);
  forecast.transfers = std::move(transfers);
  pass_ = {};
  began_ = Clock::now();
  return forecast;
}

void ExchangeLearner::End(const comm::TransferTimes& times) {
  const auto elapsed = std::chrono::nanoseconds(Clock::now() - began_);
  pass_.elapsed = std::max<int64_t>(1, elapsed.count());
  pass_.computing = static_cast<int64_t>((times.computing - times.hidden) * 1e9);
}

void ExchangeLearner::Learn(const std::vector<PassNanoseconds>& passes) {
  PassNanoseconds most;
  for (const PassNanoseconds& pass : passes) {
    if (pass.elapsed == 0) return;
    most.elapsed = std::max(most.elapsed, pass.elapsed);
    most.computing = std::max(most.computing, pass.computing);
  }
  pass_ = {};
  if (!std::exchange(warm_[algorithm_], true)) return;
  estimate_->Observe(uses_, static_cast<int>(algorithm_),
                     1e-9 * static_cast<double>(most.elapsed - most.computing));
}

}  // namespace equipoise::parallel
