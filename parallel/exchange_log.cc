#include "parallel/exchange_log.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/telemetry/phase.h"
#include "parallel/exchange_forecast.h"

namespace equipoise::parallel {
namespace {

enum Column : size_t {
  kTokens,
  kCopies,
  kRankCopies,
  kNodeCopies,
  kTokenNodes,
  kBytes,  // by class of link
  kMeanRows = kBytes + comm::kNumLinkClasses,
  kMaxRows,
  kPredicted,  // summed over groups
  kMeasured,   // summed over ranks, like the next two
  kExposed,
  kHidden,
  kRuns,  // of each algorithm
  kNumColumns = kRuns + kExchangeAlgorithms.size(),
};

double Spent(const PhaseTimers& timers) {
  return timers.Spent(Phase::kDispatch) + timers.Spent(Phase::kCombine);
}

}  // namespace

ExchangeLog::ExchangeLog(Options options) : options_(std::move(options)) {
  const size_t nodes = static_cast<size_t>(num_nodes());
  sums_.resize(LayersEnd(options_.num_layers) + nodes * nodes);
}

size_t ExchangeLog::LayersEnd(int index) const {
  return static_cast<size_t>(index) * (kNumColumns + options_.world_rank.size());
}

std::span<double> ExchangeLog::Layer(int index) {
  return std::span(sums_).subspan(LayersEnd(index), LayersEnd(1));
}

void ExchangeLog::BeginStep() { std::fill(sums_.begin(), sums_.end(), 0.0); }

void ExchangeLog::Record(int index, const ExchangeCounts& counts,
                         const ExchangeForecast& forecast) {
  // All ranks of the group hold these counts: one of them speaks.
  if (options_.group_rank != 0) return;
  const comm::Topology& topology = options_.exchange->topology();
  const routing::ExpertPlacement& placement = options_.exchange->placement();
  const std::span<double> layer = Layer(index);
  const int ranks = topology.num_ranks();
  for (int chunk = 0; chunk < counts.num_chunks(); ++chunk) {
    const comm::RowMatrix copies = counts.CopiesBetweenRanks(chunk, placement);
    const auto by_link = comm::RowsByLink(topology, copies);
    layer[kRankCopies] += static_cast<double>(by_link[0]);
    layer[kNodeCopies] += static_cast<double>(by_link[0] + by_link[1]);
    int64_t most = 0;
    int64_t all = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      layer[kTokens] += static_cast<double>(counts.tokens(chunk, rank));
      const int64_t received = copies.TotalTo(rank);
      layer[kNumColumns + static_cast<size_t>(rank)] += static_cast<double>(received);
      most = std::max(most, received);
      all += received;
    }
    layer[kCopies] += static_cast<double>(all);
    layer[kMeanRows] += static_cast<double>(all) / ranks;
    layer[kMaxRows] += static_cast<double>(most);
    for (const int64_t pairs : counts.TokensToNodes(chunk)) {
      layer[kTokenNodes] += static_cast<double>(pairs);
    }
  }
  layer[kPredicted] += forecast.seconds;
  layer[kRuns + IndexOfAlgorithm(forecast.algorithm)] += 1.0;

  const comm::RowMatrix bytes = BytesBetweenRanks(forecast.transfers);
  const std::span<double> between_nodes =
      std::span(sums_).last(static_cast<size_t>(num_nodes() * num_nodes()));
  for (int from = 0; from < ranks; ++from) {
    const int from_rank = options_.world_rank[static_cast<size_t>(from)];
    for (int to = 0; to < ranks; ++to) {
      const int to_rank = options_.world_rank[static_cast<size_t>(to)];
      const double moved = static_cast<double>(bytes.at(from, to));
      layer[kBytes + static_cast<size_t>(options_.world.link(from_rank, to_rank))] += moved;
      between_nodes[static_cast<size_t>(options_.world.node_of(from_rank) * num_nodes() +
                                        options_.world.node_of(to_rank))] += moved;
    }
  }
}

void ExchangeLog::StartClock(const PhaseTimers& timers) { clock_start_ = Spent(timers); }

void ExchangeLog::StopClock(const PhaseTimers& timers, int index) {
  Layer(index)[kMeasured] += Spent(timers) - clock_start_;
}

void ExchangeLog::RecordTimes(int index, const comm::TransferTimes& times) {
  Layer(index)[kExposed] += times.blocked;
  Layer(index)[kHidden] += times.hidden;
}

ExchangeSums ExchangeLog::OfLayer(int index) const {
  const std::span<const double> layer = std::span(sums_).subspan(LayersEnd(index), LayersEnd(1));
  const double ranks = options_.world.num_ranks();
  ExchangeSums sums;
  sums.tokens = layer[kTokens];
  sums.copies = layer[kCopies];
  sums.rank_copies = layer[kRankCopies];
  sums.node_copies = layer[kNodeCopies];
  sums.token_nodes = layer[kTokenNodes];
  std::copy_n(layer.begin() + kBytes, comm::kNumLinkClasses, sums.bytes.begin());
  sums.mean_rows = layer[kMeanRows];
  sums.max_rows = layer[kMaxRows];
  sums.predicted_seconds =
      layer[kPredicted] * static_cast<double>(options_.world_rank.size()) / ranks;
  sums.measured_seconds = layer[kMeasured] / ranks;
  sums.exposed_seconds = layer[kExposed] / ranks;
  sums.hidden_seconds = layer[kHidden] / ranks;
  const auto runs = layer.subspan(kRuns, kExchangeAlgorithms.size());
  sums.algorithm = kExchangeAlgorithms[static_cast<size_t>(
      std::max_element(runs.begin(), runs.end()) - runs.begin())];
  const auto loads = layer.subspan(kNumColumns);
  sums.rank_loads.assign(loads.begin(), loads.end());
  return sums;
}

std::vector<double> ExchangeLog::NodeBytes() const {
  const auto bytes = std::span(sums_).last(static_cast<size_t>(num_nodes() * num_nodes()));
  return {bytes.begin(), bytes.end()};
}

}  // namespace equipoise::parallel
