#ifndef EQUIPOISE_PARALLEL_EXCHANGE_FORECAST_H_
#define EQUIPOISE_PARALLEL_EXCHANGE_FORECAST_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/exchange/exchange_cost.h"
#include "comm/exchange/node_transport.h"
#include "comm/exchange/row_exchange.h"
#include "comm/link_model.h"
#include "comm/topology.h"
#include "parallel/exchange_counts.h"
#include "routing/placement.h"

namespace equipoise::parallel {

// Bytes of what travels.
struct ExchangeWidths {
  int64_t row = 0;    // a token's H elements
  int64_t ids = 0;    // its K experts
  int64_t gates = 0;  // its K gates
};

// The exchange algorithms, by their names in configurations: all but "auto".
inline constexpr std::array<const char*, 3> kExchangeAlgorithms = {"flat", "two_level",
                                                                   "two_level_dedup"};
// The position of a name among them.
size_t IndexOfAlgorithm(const std::string& name);

// Transfers of one kind: `there` times as `traffic` says, `back` times with its steps backwards; so
// many of these in the forward pass, after its plan.
struct ExpectedTransfers {
  comm::ExchangeTraffic traffic;
  int64_t row_bytes = 0;
  int there = 0;
  int back = 0;
  int forward = 0;
};

// What an exchange algorithm (by its name: no "auto") sends in one layer for one micro-batch,
// forward and backward: dispatch, combine, and their gradients, in chunks; with "two_level_dedup"
// also where each token goes, with its ids and gates, and back the gates' gradients. Exact to the
// byte; the all-gather of counts is not among them. Pure: the same on all ranks.
std::vector<ExpectedTransfers> ForecastLayer(const std::string& algorithm,
                                             const comm::Topology& topology,
                                             const routing::ExpertPlacement& placement,
                                             const ExchangeCounts& counts,
                                             const ExchangeWidths& widths,
                                             comm::NodeTransport inside_nodes);

// Seconds of all of them, one after the other; see comm::TransferSeconds.
double Seconds(const comm::Topology& topology, const comm::LinkModel& links,
               const std::vector<ExpectedTransfers>& transfers);

// What those of the forward pass ask of links, one after the other; see comm::TransferUses.
comm::LinkUses ForwardUses(const comm::Topology& topology, const comm::LinkModel& links,
                           const std::vector<ExpectedTransfers>& transfers);

// Steps in which rows of at least `row_bytes` travel between ranks, one after the other: the phases
// of all transfers that move any.
int NumSteps(const std::vector<ExpectedTransfers>& transfers, int64_t row_bytes);

// Bytes from rank to rank, what stays on a rank included.
comm::RowMatrix BytesBetweenRanks(const std::vector<ExpectedTransfers>& transfers);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_EXCHANGE_FORECAST_H_
