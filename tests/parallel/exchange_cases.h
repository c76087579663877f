#ifndef EQUIPOISE_TESTS_PARALLEL_EXCHANGE_CASES_H_
#define EQUIPOISE_TESTS_PARALLEL_EXCHANGE_CASES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "comm/communicator.h"

namespace equipoise::testing_support {

// A property of every ExpertExchange, run by every rank of a world with the algorithm `exchange`,
// over all scenarios of routing_scenario.h; returns what it found wrong.
struct ExchangeCase {
  std::string name;
  absl::Status (*body)(comm::Communicator& world, const std::string& exchange);
};

std::vector<ExchangeCase> ExchangeCases();

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_PARALLEL_EXCHANGE_CASES_H_
