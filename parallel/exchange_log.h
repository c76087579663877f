#ifndef EQUIPOISE_PARALLEL_EXCHANGE_LOG_H_
#define EQUIPOISE_PARALLEL_EXCHANGE_LOG_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "comm/exchange/transfer.h"
#include "comm/topology.h"
#include "core/telemetry/timers.h"
#include "parallel/exchange_counts.h"
#include "parallel/exchange_learner.h"
#include "parallel/expert_exchange.h"

namespace equipoise::parallel {

// What one MoE layer's exchanges were in a step: sums over all ranks and micro-batches.
struct ExchangeSums {
  double tokens = 0.0;
  double copies = 0.0;       // that were sent, after any capacity
  double rank_copies = 0.0;  // of those: computed where their token lives
  double node_copies = 0.0;  // computed on its node, the former included
  double token_nodes = 0.0;  // pairs of a token and a node with experts of it
  std::array<double, comm::kNumLinkClasses> bytes = {};  // by class of link
  // Rows that ranks compute: of every exchange the mean over ranks, and the most of any.
  double mean_rows = 0.0;
  double max_rows = 0.0;
  double predicted_seconds = 0.0;  // of one rank
  double measured_seconds = 0.0;   // mean over ranks, like the two below
  // Of the time in which transfers were under way (comm::TransferTimes): the rank waited for them,
  // or computed meanwhile.
  double exposed_seconds = 0.0;
  double hidden_seconds = 0.0;
  std::string algorithm;  // that ran most often
  // [R] copies that were sent to the experts of each rank of a group, summed over groups.
  std::vector<double> rank_loads = {};
};

// The exchanges of a step, layer by layer: from the counts that each exchange gathers anyway, and
// from one rank's clock. Ranks' sums are added where other sums of a step are, so it costs no
// message of its own.
//
// Every token counts once a step: nothing is recorded for a layer that runs again (recompute) or
// for validation. One per rank; belongs to one thread; what Options points to outlives it.
class ExchangeLog {
 public:
  struct Options {
    const ExpertExchange* exchange = nullptr;
    comm::Topology world;         // nodes of all ranks of the job
    std::vector<int> world_rank;  // of each rank of the exchange's group
    int group_rank = 0;           // this rank's place in the group
    int num_layers = 0;           // MoE layers
  };
  explicit ExchangeLog(Options options);

  // Forgets the step before.
  void BeginStep();
  // An exchange of the MoE layer `index` (its position among them).
  void Record(int index, const ExchangeCounts& counts, const ExchangeForecast& forecast);
  // Counts for the layer what `timers` spend on dispatch and combine in between.
  void StartClock(const PhaseTimers& timers);
  void StopClock(const PhaseTimers& timers, int index);
  // A pass's transfers of the layer, by this rank's clock.
  void RecordTimes(int index, const comm::TransferTimes& times);

  // This rank's share of the sums, to be added up over the ranks of the world and given back.
  std::span<double> sums() { return sums_; }

  // After that. [N * N]: bytes from a node (first index) to a node, what stays included.
  ExchangeSums OfLayer(int index) const;
  std::vector<double> NodeBytes() const;
  int num_nodes() const { return options_.world.num_nodes(); }

 private:
  // Of all layers before `index`, in sums_.
  size_t LayersEnd(int index) const;
  std::span<double> Layer(int index);

  Options options_;
  std::vector<double> sums_;  // [num_layers, kNumColumns + R], then [N, N]
  double clock_start_ = 0.0;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_EXCHANGE_LOG_H_
