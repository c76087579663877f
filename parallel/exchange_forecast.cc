#include "parallel/exchange_forecast.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"

namespace equipoise::parallel {
namespace {

// Of a multicast's destinations; see comm::RowMulticast::Plan.
constexpr int64_t kMaskBytes = sizeof(int64_t);
constexpr char kDeduplicated[] = "two_level_dedup";

comm::ExchangeRows RowsOf(const ExchangeCounts& counts, int chunk,
                          const routing::ExpertPlacement& placement) {
  return {counts.CopiesBetweenRanks(chunk, placement), counts.TokensBetweenRanks(chunk),
          counts.TokensToNodes(chunk)};
}

comm::ExchangeTraffic TrafficOf(const std::string& algorithm, const comm::Topology& topology,
                                const comm::ExchangeRows& rows, comm::NodeTransport inside_nodes) {
  if (algorithm == "flat") return comm::FlatTraffic(topology, rows, inside_nodes);
  if (algorithm == "two_level") return comm::TwoLevelTraffic(topology, rows, inside_nodes);
  EQ_CHECK(algorithm == kDeduplicated) << algorithm;
  return comm::MulticastTraffic(topology, rows, inside_nodes);
}

void AddRows(const comm::RowMatrix& more, comm::RowMatrix& rows) {
  for (int from = 0; from < rows.num_ranks(); ++from) {
    for (int to = 0; to < rows.num_ranks(); ++to) {
      rows.set(from, to, rows.at(from, to) + more.at(from, to));
    }
  }
}

// A phase of all chunks together, once and without copies in memory.
ExpectedTransfers LabelTransfer(const std::vector<comm::ExchangeTraffic>& chunks, size_t phase,
                                int64_t row_bytes) {
  comm::RowMatrix rows(chunks.front().phases[phase].num_ranks());
  for (const comm::ExchangeTraffic& chunk : chunks) AddRows(chunk.phases[phase], rows);
  comm::ExchangeTraffic labels;
  labels.gathered.assign(static_cast<size_t>(rows.num_ranks()), 0);
  labels.phases = {std::move(rows)};
  return {std::move(labels), row_bytes, 1, 0, 0};
}

// Whether any rank sends to another.
bool MovesRows(const comm::RowMatrix& rows) {
  for (int rank = 0; rank < rows.num_ranks(); ++rank) {
    if (rows.TotalFrom(rank) > rows.at(rank, rank)) return true;
  }
  return false;
}

}  // namespace

size_t IndexOfAlgorithm(const std::string& name) {
  const auto found = std::find(kExchangeAlgorithms.begin(), kExchangeAlgorithms.end(), name);
  EQ_CHECK(found != kExchangeAlgorithms.end()) << name;
  return static_cast<size_t>(found - kExchangeAlgorithms.begin());
}

std::vector<ExpectedTransfers> ForecastLayer(const std::string& algorithm,
                                             const comm::Topology& topology,
                                             const routing::ExpertPlacement& placement,
                                             const ExchangeCounts& counts,
                                             const ExchangeWidths& widths,
                                             comm::NodeTransport inside_nodes) {
  std::vector<ExpectedTransfers> transfers;
  std::vector<comm::ExchangeTraffic> multicasts;
  for (int chunk = 0; chunk < counts.num_chunks(); ++chunk) {
    comm::ExchangeRows rows = RowsOf(counts, chunk, placement);
    const comm::ExchangeTraffic traffic = TrafficOf(algorithm, topology, rows, inside_nodes);
    if (algorithm == kDeduplicated) {
      transfers.push_back({traffic, widths.row, 2, 2, 2});
      transfers.push_back({traffic, widths.gates, 0, 1, 0});
      multicasts.push_back(traffic);
      continue;
    }
    // Copies come home by the same algorithm, not by the same steps backwards.
    rows.copies = rows.copies.Transposed();
    transfers.push_back({traffic, widths.row, 2, 0, 1});
    transfers.push_back({TrafficOf(algorithm, topology, rows, inside_nodes), widths.row, 2, 0, 1});
  }
  if (!multicasts.empty()) {
    transfers.push_back(LabelTransfer(multicasts, 0, kMaskBytes + widths.ids + widths.gates));
    transfers.push_back(LabelTransfer(multicasts, 1, widths.ids + widths.gates));
  }
  return transfers;
}

double Seconds(const comm::Topology& topology, const comm::LinkModel& links,
               const std::vector<ExpectedTransfers>& transfers) {
  double seconds = 0.0;
  for (const ExpectedTransfers& transfer : transfers) {
    seconds += (transfer.there + transfer.back) *
               comm::TransferSeconds(topology, links, transfer.traffic,
                                     static_cast<double>(transfer.row_bytes));
  }
  return seconds;
}

comm::LinkUses ForwardUses(const comm::Topology& topology, const comm::LinkModel& links,
                           const std::vector<ExpectedTransfers>& transfers) {
  comm::LinkUses uses = {};
  for (const ExpectedTransfers& transfer : transfers) {
    const comm::LinkUses one = comm::TransferUses(topology, links, transfer.traffic,
                                                  static_cast<double>(transfer.row_bytes));
    for (int i = 0; i < transfer.forward; ++i) uses += one;
  }
  return uses;
}

int NumSteps(const std::vector<ExpectedTransfers>& transfers, int64_t row_bytes) {
  int steps = 0;
  for (const ExpectedTransfers& transfer : transfers) {
    if (transfer.row_bytes < row_bytes) continue;
    for (const comm::RowMatrix& phase : transfer.traffic.phases) {
      if (MovesRows(phase)) steps += transfer.there + transfer.back;
    }
  }
  return steps;
}

comm::RowMatrix BytesBetweenRanks(const std::vector<ExpectedTransfers>& transfers) {
  EQ_CHECK(!transfers.empty());
  const int ranks = transfers.front().traffic.phases.front().num_ranks();
  comm::RowMatrix bytes(ranks);
  for (const ExpectedTransfers& transfer : transfers) {
    const comm::RowMatrix rows = comm::TotalRows(transfer.traffic);
    for (int from = 0; from < ranks; ++from) {
      for (int to = 0; to < ranks; ++to) {
        const int64_t both = rows.at(from, to) * transfer.there + rows.at(to, from) * transfer.back;
        bytes.set(from, to, bytes.at(from, to) + both * transfer.row_bytes);
      }
    }
  }
  return bytes;
}

}  // namespace equipoise::parallel
