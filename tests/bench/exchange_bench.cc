// The exchanges of one MoE layer, without its experts: plan, dispatch, combine and their gradients,
// by every algorithm and by "auto", next to what the cost model expects of them. Every round runs
// all of them, each time in another order.
//
//   tests/cluster/cluster.sh with --rate 200mbit -- exchange_bench --world=mpi

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "comm/exchange/exchange_cost.h"
#include "comm/exchange/node_transport.h"
#include "comm/link_model.h"
#include "comm/measure_links.h"
#include "comm/topology.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "core/ops/elementwise.h"
#include "core/tensor/tensor.h"
#include "parallel/exchange_forecast.h"
#include "parallel/expert_exchange.h"
#include "routing/placement.h"
#include "tests/bench/report.h"
#include "tests/bench/world.h"

ABSL_FLAG(std::string, points, "256:16:2,1024:16:2,256:64:8,1024:64:8,2048:8:1,64:64:8",
          "tokens of a rank, experts and experts of a token: T:E:K, T:E:K, ...");
ABSL_FLAG(int64_t, hidden, 256, "elements H of a token");
ABSL_FLAG(double, local, 0.0, "share of copies that stay on the node, beside those drawn to it");
ABSL_FLAG(std::vector<std::string>, inside_nodes, {"shared"},
          "how rows travel inside nodes: shared, messages, or both, side by side");
ABSL_FLAG(int, rounds, 9, "timed rounds");
ABSL_FLAG(std::vector<std::string>, only, {},
          "these algorithms alone; then links are not measured");

namespace equipoise::bench {
namespace {

absl::StatusOr<std::vector<comm::NodeTransport>> Transports() {
  std::vector<comm::NodeTransport> transports;
  for (const std::string& name : absl::GetFlag(FLAGS_inside_nodes)) {
    if (name != "shared" && name != "messages") {
      return absl::InvalidArgumentError(absl::StrCat("--inside_nodes: '", name, "'"));
    }
    transports.push_back(name == "shared" ? comm::NodeTransport::kSharedMemory
                                          : comm::NodeTransport::kMessages);
  }
  return transports;
}

struct Point {
  int64_t tokens = 0;
  int experts = 0;
  int top_k = 0;
};

absl::StatusOr<std::vector<Point>> Points() {
  std::vector<Point> points;
  for (const absl::string_view text : absl::StrSplit(absl::GetFlag(FLAGS_points), ',')) {
    const std::vector<absl::string_view> words = absl::StrSplit(text, ':');
    Point point;
    if (words.size() != 3 || !absl::SimpleAtoi(words[0], &point.tokens) ||
        !absl::SimpleAtoi(words[1], &point.experts) || !absl::SimpleAtoi(words[2], &point.top_k) ||
        point.tokens < 0 || point.top_k < 1 || point.experts < point.top_k) {
      return absl::InvalidArgumentError(absl::StrCat("--points: '", text, "' is no T:E:K"));
    }
    points.push_back(point);
  }
  return points;
}

// One layer's tokens on one rank, and what of them travels.
class Layer {
 public:
  static absl::StatusOr<std::unique_ptr<Layer>> Create(comm::Communicator& world,
                                                       RankMemory& memory,
                                                       const comm::Topology& topology,
                                                       const Point& point) {
    std::unique_ptr<Layer> layer(new Layer(memory));
    const Shape rows = {point.tokens, absl::GetFlag(FLAGS_hidden)};
    const Shape copies = {point.tokens, point.top_k};
    for (Tensor* tensor : {&layer->x_, &layer->y_, &layer->dx_}) {
      EQ_ASSIGN_OR_RETURN(*tensor, Tensor::Create(memory.device(), DType::kF32, rows));
    }
    for (Tensor* tensor : {&layer->gates_, &layer->dgates_}) {
      EQ_ASSIGN_OR_RETURN(*tensor, Tensor::Create(memory.device(), DType::kF32, copies));
    }
    EQ_ASSIGN_OR_RETURN(layer->ids_, Tensor::Create(memory.device(), DType::kI32, copies));
    Fill(memory.context(), 1.0, layer->x_.view());
    Fill(memory.context(), 0.5, layer->gates_.view());
    layer->Route(world.rank(), topology, point);
    return layer;
  }

  absl::Status Run(parallel::ExpertExchange& exchange) {
    const Context& context = memory_.context();
    Workspace& space = *context.activations;
    const WorkspaceFrame kept(space);
    exchange.BeginStep();
    EQ_ASSIGN_OR_RETURN(const parallel::ExchangeCounts counts,
                        exchange.Count(context, ids_.view(), {}));
    EQ_ASSIGN_OR_RETURN(const std::vector<parallel::ExchangePlan> plans,
                        exchange.Plan(context, space, counts, ids_.view(), gates_.view(), {}));
    const parallel::ExchangePlan& plan = plans[0];
    expected_ = exchange.Forecast(counts, plan, ids_.view(), gates_.view());
    exchange.BeginForward(expected_);
    const WorkspaceFrame scratch(*context.scratch);
    EQ_ASSIGN_OR_RETURN(parallel::PendingRows pending,
                        exchange.Dispatch(context, space, plan, x_.view(), nullptr));
    EQ_ASSIGN_OR_RETURN(const TensorView in, pending.Wait());
    EQ_ASSIGN_OR_RETURN(pending, exchange.Combine(context, space, plan, in, y_.view()));
    EQ_ASSIGN_OR_RETURN(const TensorView saved, pending.Wait());
    EQ_RETURN_IF_ERROR(exchange.EndForward().status());
    EQ_ASSIGN_OR_RETURN(pending,
                        exchange.CombineBackward(context, plan, saved, y_.view(), dgates_.view()));
    EQ_ASSIGN_OR_RETURN(const TensorView dout, pending.Wait());
    EQ_RETURN_IF_ERROR(exchange.DispatchBackward(context, plan, dout, dx_.view()).status());
    return exchange.EndPass().status();
  }

  // What is expected of one Run.
  absl::StatusOr<std::vector<parallel::ExpectedTransfers>> Forecast(
      const std::string& algorithm, parallel::ExpertExchange& exchange) {
    EQ_ASSIGN_OR_RETURN(const parallel::ExchangeCounts counts,
                        exchange.Count(memory_.context(), ids_.view(), {}));
    const int64_t copies = ids_.view().dim(1);
    return parallel::ForecastLayer(
        algorithm, exchange.topology(), exchange.placement(), counts,
        {.row = x_.view().dim(1) * 4, .ids = copies * 4, .gates = copies * 4},
        exchange.inside_nodes());
  }

  // Of the last Run.
  const parallel::ExchangeForecast& expected() const { return expected_; }

 private:
  explicit Layer(RankMemory& memory) : memory_(memory) {}

  // Different experts for each token, at random; of the node's own where the dice say so.
  void Route(int rank, const comm::Topology& topology, const Point& point) {
    const auto placement =
        routing::ExpertPlacement::Contiguous(point.experts, topology.num_ranks());
    const Philox random(StreamKey(static_cast<uint64_t>(rank), "experts"));
    uint64_t draw = 0;
    const auto ids = ids_.view().cpu<int32_t>();
    for (size_t token = 0; token < static_cast<size_t>(point.tokens); ++token) {
      std::vector<int32_t> chosen;
      int tries = 0;
      while (chosen.size() < static_cast<size_t>(point.top_k)) {
        const bool stay = random.Uniform(draw++) < absl::GetFlag(FLAGS_local) && ++tries < 1000;
        const auto expert = static_cast<int32_t>(random.Uniform(draw++) * point.experts);
        if (stay && topology.node_of(placement.owner_of(expert)) != topology.node_of(rank))
          continue;
        if (std::find(chosen.begin(), chosen.end(), expert) == chosen.end())
          chosen.push_back(expert);
      }
      std::copy(chosen.begin(), chosen.end(),
                ids.begin() + static_cast<std::ptrdiff_t>(token * chosen.size()));
    }
  }

  RankMemory& memory_;
  Tensor x_, y_, dx_;      // F32 [T, H]
  Tensor gates_, dgates_;  // F32 [T, K]
  Tensor ids_;             // I32 [T, K]
  parallel::ExchangeForecast expected_;
};

// Of all points.
struct Totals {
  std::vector<double> errors;           // of every prediction, relative
  std::vector<double> errors_at_start;  // by the links as measured, of medians
  double worst_loss = 0.0;              // of what "auto" chose to the best
  int64_t bytes_across = 0;             // that the runs' plans send between nodes, without counts
};

struct Result {
  std::string name;
  comm::NodeTransport transport = comm::NodeTransport::kSharedMemory;
  double at_start = 0.0;          // predicted by the links as they were measured
  std::vector<double> predicted;  // by what was known before each round
  std::vector<double> seconds;
};

// The mean of the faster half: other work on the machine only ever adds, and a lost packet much.
double Undisturbed(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  seconds.resize((seconds.size() + 1) / 2);
  return std::accumulate(seconds.begin(), seconds.end(), 0.0) / static_cast<double>(seconds.size());
}

// "flat 2, two_level_dedup 5".
std::string Frequencies(const std::vector<std::string>& chosen) {
  std::map<std::string, int> counts;
  for (const std::string& name : chosen) ++counts[name];
  return absl::StrJoin(counts, ", ", absl::PairFormatter(" "));
}

// A line for each algorithm; what "auto" chose in each round, and what that costs over always
// taking the best. `copies`: seconds in which a rank copies what it sends in one of the four
// transfers, by memcpy.
void Print(const Point& point, const std::vector<Result>& results,
           const std::vector<std::string>& chosen, const std::vector<double>& copies,
           Totals& totals) {
  std::map<std::string, double> typical;  // where "auto" chooses
  for (const Result& result : results) {
    if (result.name == "auto") continue;
    for (size_t i = 0; i < result.seconds.size(); ++i) {
      totals.errors.push_back(std::abs(result.predicted[i] / result.seconds[i] - 1.0));
    }
    const double seconds = Undisturbed(result.seconds);
    totals.errors_at_start.push_back(std::abs(result.at_start / Median(result.seconds) - 1.0));
    if (result.transport == results.front().transport) typical[result.name] = seconds;
    std::printf(
        "T %5lld E %3d K %d  %-16s %-8s predicted %8.2f ms (at start %.2f)  measured %8.2f ms "
        "(faster half %.2f)  %5.1f copies a transfer (faster half %.1f)\n",
        static_cast<long long>(point.tokens), point.experts, point.top_k, result.name.c_str(),
        result.transport == comm::NodeTransport::kMessages ? "messages" : "shared",
        Median(result.predicted) * 1e3, result.at_start * 1e3, Median(result.seconds) * 1e3,
        seconds * 1e3, Median(result.seconds) / (4.0 * Median(copies)),
        seconds / (4.0 * Undisturbed(copies)));
  }
  if (chosen.empty()) return;
  double sum = 0.0;
  for (const std::string& name : chosen) sum += typical.at(name);
  const auto best =
      std::min_element(typical.begin(), typical.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  const double loss = sum / static_cast<double>(chosen.size()) / best->second - 1.0;
  totals.worst_loss = std::max(totals.worst_loss, loss);
  std::printf("T %5lld E %3d K %d  auto chose %s: %.1f %% slower than %s\n",
              static_cast<long long>(point.tokens), point.experts, point.top_k,
              Frequencies(chosen).c_str(), loss * 100.0, best->first.c_str());
}

bool IsAsked(const std::string& name) {
  const std::vector<std::string> only = absl::GetFlag(FLAGS_only);
  return only.empty() || std::find(only.begin(), only.end(), name) != only.end();
}

// What links cost by way of one transport inside nodes.
struct Way {
  comm::NodeTransport transport = comm::NodeTransport::kSharedMemory;
  comm::LinkModel links;  // as measured
  // By exchange: what it has learnt from its own runs, as in a job of its own.
  std::map<std::string, std::shared_ptr<comm::LinkEstimate>> estimates;
};

// Every algorithm that is asked for, and what is expected of it.
class Contest {
 public:
  static absl::StatusOr<Contest> Create(comm::Communicator& world, RankMemory& memory,
                                        const std::vector<Way>& ways, const Point& point,
                                        Layer& layer) {
    Contest contest;
    for (const std::string& name : parallel::ExpertExchangeNames()) {
      if (!IsAsked(name)) continue;
      for (const Way& way : ways) {
        EQ_ASSIGN_OR_RETURN(auto exchange,
                            parallel::MakeExpertExchange(
                                name, world, memory.context(),
                                routing::ExpertPlacement::Contiguous(point.experts, world.size()),
                                {.costs = {.links = way.estimates.at(name),
                                           .row_bytes = absl::GetFlag(FLAGS_hidden) * 4},
                                 .inside_nodes = way.transport}));
        contest.exchanges.push_back(std::move(exchange));
        EQ_RETURN_IF_ERROR(contest.Expect(way, layer));
      }
    }
    return contest;
  }

  std::vector<std::unique_ptr<parallel::ExpertExchange>> exchanges;
  std::vector<Result> results;
  std::vector<int64_t> across;  // bytes of a run of each

 private:
  // Of the last one.
  absl::Status Expect(const Way& way, Layer& layer) {
    parallel::ExpertExchange& exchange = *exchanges.back();
    results.push_back({exchange.name(), way.transport, 0.0, {}, {}});
    across.push_back(0);
    if (exchange.name() == "auto") return absl::OkStatus();
    EQ_ASSIGN_OR_RETURN(const auto transfers, layer.Forecast(exchange.name(), exchange));
    results.back().at_start = parallel::Seconds(exchange.topology(), way.links, transfers);
    across.back() = comm::RowsByLink(
        exchange.topology(),
        parallel::BytesBetweenRanks(transfers))[static_cast<size_t>(comm::LinkClass::kRemote)];
    return absl::OkStatus();
  }
};

// Copies rows as one block.
class PlainCopy {
 public:
  static absl::StatusOr<PlainCopy> Create(RankMemory& memory, int64_t rows) {
    PlainCopy copy(memory.context());
    const Shape shape = {rows, absl::GetFlag(FLAGS_hidden)};
    for (Tensor* tensor : {&copy.from_, &copy.to_}) {
      EQ_ASSIGN_OR_RETURN(*tensor, Tensor::Create(memory.device(), DType::kF32, shape));
      Fill(memory.context(), 1.0, tensor->view());
    }
    return copy;
  }
  absl::Status Run() {
    Copy(context_, from_.view(), to_.view());
    return absl::OkStatus();
  }

 private:
  explicit PlainCopy(const Context& context) : context_(context) {}
  Context context_;
  Tensor from_, to_;
};

absl::Status RunPoint(comm::Communicator& world, RankMemory& memory, Stopwatch& stopwatch,
                      const comm::Topology& topology, const std::vector<Way>& ways,
                      const Point& point, Totals& totals) {
  EQ_ASSIGN_OR_RETURN(const auto layer, Layer::Create(world, memory, topology, point));
  EQ_ASSIGN_OR_RETURN(Contest contest, Contest::Create(world, memory, ways, point, *layer));
  EQ_ASSIGN_OR_RETURN(PlainCopy copy, PlainCopy::Create(memory, point.tokens * point.top_k));
  std::vector<double> copies;
  std::vector<std::string> chosen;
  for (int round = -1; round < absl::GetFlag(FLAGS_rounds); ++round) {
    for (size_t i = 0; i < contest.exchanges.size(); ++i) {
      const size_t index = (i + static_cast<size_t>(round + 1)) % contest.exchanges.size();
      EQ_ASSIGN_OR_RETURN(const double seconds,
                          stopwatch.Time([&] { return layer->Run(*contest.exchanges[index]); }));
      if (round >= 0) {
        contest.results[index].predicted.push_back(layer->expected().seconds);
        contest.results[index].seconds.push_back(seconds);
        if (contest.results[index].name == "auto") chosen.push_back(layer->expected().algorithm);
      }
      totals.bytes_across += contest.across[index];
    }
    EQ_ASSIGN_OR_RETURN(const double seconds, stopwatch.Time([&] { return copy.Run(); }));
    if (round >= 0) copies.push_back(seconds);
  }
  if (world.rank() == 0) Print(point, contest.results, chosen, copies, totals);
  return absl::OkStatus();
}

absl::Status RunRank(comm::Communicator& world) {
  EQ_ASSIGN_OR_RETURN(const std::vector<Point> points, Points());
  EQ_ASSIGN_OR_RETURN(const auto memory, RankMemory::Create());
  EQ_ASSIGN_OR_RETURN(Stopwatch stopwatch, Stopwatch::Create(world, *memory));
  EQ_ASSIGN_OR_RETURN(const comm::Topology topology,
                      comm::Topology::Discover(world, memory->context()));
  EQ_ASSIGN_OR_RETURN(const std::vector<comm::NodeTransport> transports, Transports());
  const bool all = absl::GetFlag(FLAGS_only).empty();
  if (world.rank() == 0) std::printf("%s\n", topology.ToString().c_str());
  std::vector<Way> ways;
  for (const comm::NodeTransport transport : transports) {
    Way& way = ways.emplace_back();
    way.transport = transport;
    if (all) {
      EQ_ASSIGN_OR_RETURN(way.links, comm::MeasureLinks(world, topology, memory->context(),
                                                        {.inside_nodes = transport}));
      if (world.rank() == 0) std::printf("links: %s\n", comm::Describe(way.links).c_str());
    }
    for (const std::string& name : parallel::ExpertExchangeNames()) {
      way.estimates[name] = parallel::MakeLinkEstimate(way.links, {true, true, true, true});
    }
  }
  Totals totals;
  for (const Point& point : points) {
    EQ_RETURN_IF_ERROR(RunPoint(world, *memory, stopwatch, topology, ways, point, totals));
  }
  if (world.rank() != 0) return absl::OkStatus();
  if (all) {
    std::printf(
        "median error of the predictions %.1f %% (by the links as measured at start, of medians, "
        "%.1f %%); auto at most %.1f %% slower than the best\n",
        Median(totals.errors) * 100.0, Median(totals.errors_at_start) * 100.0,
        totals.worst_loss * 100.0);
  } else {
    std::printf("bytes across by the plans: %lld\n", static_cast<long long>(totals.bytes_across));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace equipoise::bench

int main(int argc, char** argv) {
  return equipoise::bench::RunOnWorld(argc, argv, equipoise::bench::RunRank);
}
