#ifndef EQUIPOISE_TESTS_PARALLEL_EXCHANGE_CASES_H_
#define EQUIPOISE_TESTS_PARALLEL_EXCHANGE_CASES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "comm/communicator.h"
#include "comm/exchange/node_transport.h"

namespace equipoise::testing_support {

// Which exchange, into how many chunks it cuts a layer, and how rows travel inside nodes.
struct ExchangeKind {
  std::string name;
  int chunks = 1;
  comm::NodeTransport inside_nodes = comm::NodeTransport::kSharedMemory;
};

// A property of every ExpertExchange, run by every rank of a world, over all scenarios of
// routing_scenario.h; returns what it found wrong.
struct ExchangeCase {
  std::string name;
  absl::Status (*body)(comm::Communicator& world, const ExchangeKind& exchange);
};

std::vector<ExchangeCase> ExchangeCases();

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_PARALLEL_EXCHANGE_CASES_H_
