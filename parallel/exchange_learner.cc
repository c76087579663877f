#include "parallel/exchange_learner.h"

#include <algorithm>
#include <utility>

namespace equipoise::parallel {

double ExchangeLearner::Predict(const std::string& algorithm,
                                const std::vector<ExpectedTransfers>& transfers) const {
  return known_.factor(static_cast<int>(IndexOfAlgorithm(algorithm))) *
         Seconds(topology_, known_.links(), transfers);
}

ExchangeForecast ExchangeLearner::Forecast(std::string algorithm,
                                           std::vector<ExpectedTransfers> transfers) const {
  const double seconds = Predict(algorithm, transfers);
  return {std::move(algorithm), std::move(transfers), seconds};
}

std::vector<std::pair<std::string, double>> ExchangeLearner::factors() const {
  std::vector<std::pair<std::string, double>> factors;
  for (const char* algorithm : kExchangeAlgorithms) {
    const auto kind = static_cast<int>(IndexOfAlgorithm(algorithm));
    factors.emplace_back(algorithm, estimate_->factor(kind));
  }
  return factors;
}

void ExchangeLearner::Begin(const ExchangeForecast& forecast) {
  algorithm_ = IndexOfAlgorithm(forecast.algorithm);
  uses_ = ForwardUses(topology_, known_.links(), forecast.transfers);
  pass_ = {};
  began_ = Clock::now();
}

void ExchangeLearner::End(const comm::TransferTimes& times) {
  const auto elapsed = std::chrono::nanoseconds(Clock::now() - began_);
  pass_.elapsed = std::max<int64_t>(1, elapsed.count());
  pass_.alone = static_cast<int64_t>(times.alone * 1e9);
}

void ExchangeLearner::Learn(const std::vector<PassNanoseconds>& passes) {
  PassNanoseconds most;
  for (const PassNanoseconds& pass : passes) {
    if (pass.elapsed == 0) return;
    most.elapsed = std::max(most.elapsed, pass.elapsed);
    most.alone = std::max(most.alone, pass.alone);
  }
  pass_ = {};
  if (!std::exchange(warm_[algorithm_], true)) return;
  estimate_->Observe(uses_, static_cast<int>(algorithm_),
                     1e-9 * static_cast<double>(most.elapsed - most.alone));
}

}  // namespace equipoise::parallel
