#include "tests/parallel/layout_cases.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "parallel/expert_exchange.h"
#include "parallel/train_step.h"
#include "tests/parallel/tiny_model.h"

namespace equipoise::testing_support {
namespace {

constexpr int kSteps = 30;
constexpr int64_t kSequences = 28;
constexpr int kDomains = 3;

}  // namespace

std::string TrainLayout::ToString() const {
  return absl::StrCat("ranks ", ranks, ", expert_parallel ", expert_parallel, ", accumulation ",
                      accumulation, recompute ? ", recompute" : "",
                      owners.empty() ? "" : ", placement table", ", ", exchange, ", chunks ",
                      chunks, inside_nodes == comm::NodeTransport::kMessages ? ", messages" : "");
}

std::vector<TrainLayout> LayoutsOf(int ranks) {
  std::vector<TrainLayout> layouts;
  for (int expert_parallel = 1; expert_parallel <= ranks; ++expert_parallel) {
    if (ranks % expert_parallel != 0) continue;
    for (const int accumulation : {1, 2, 4}) {
      layouts.push_back({.ranks = ranks,
                         .expert_parallel = expert_parallel,
                         .accumulation = accumulation,
                         .recompute = accumulation == 2});
    }
  }
  if (ranks == 1 || ranks == 4) {
    layouts.push_back({.ranks = ranks, .expert_parallel = ranks, .recompute = true});
  }
  // Experts in no order, and an owner without any.
  const std::vector<int> owners = {2, 0, 2, 2, 0, 0, 2, 0};
  if (ranks == 3) {
    layouts.push_back({.ranks = 3, .expert_parallel = 3, .accumulation = 2, .owners = owners});
  }
  for (const std::string& exchange : parallel::ExpertExchangeNames()) {
    if (ranks == 1) continue;
    TrainLayout layout = {.ranks = ranks, .expert_parallel = ranks, .exchange = exchange};
    for (int rank = 0; rank < ranks; ++rank) layout.nodes.push_back(rank < (ranks + 1) / 2 ? 0 : 1);
    if (exchange != "flat") layouts.push_back(layout);
    layout.chunks = 3;
    layouts.push_back(layout);
    layout.chunks = 2;
    layout.recompute = true;
    if (ranks == 3) layout.owners = owners;
    layouts.push_back(layout);
  }
  return layouts;
}

absl::StatusOr<TrainTrace> TraceTraining(comm::Communicator& world, const TrainLayout& layout,
                                         DType dtype, parallel::LoadSource load_source) {
  EQ_CHECK_EQ(world.size(), layout.ranks);
  parallel::TrainOptions options = TinyOptions(dtype, kSequences);
  options.layout.expert_parallel = layout.expert_parallel;
  options.layout.expert_owner = layout.owners;
  options.layout.exchange = layout.exchange;
  options.layout.exchange_chunks = layout.chunks;
  options.layout.inside_nodes = layout.inside_nodes;
  options.layout.recompute = layout.recompute;
  options.batch.accumulation_steps = layout.accumulation;
  options.batch.load_source = load_source;
  const parallel::SampleSource source = SyntheticText(options.model.vocabulary, kDomains);
  const std::unique_ptr<Device> device = MakeCpuDevice();
  EQ_ASSIGN_OR_RETURN(auto step, parallel::TrainStep::Create(*device, world, options, kDomains));
  TrainTrace trace;
  for (int i = 1; i <= kSteps; ++i) {
    EQ_ASSIGN_OR_RETURN(const parallel::StepResult result, step->Run(source, i));
    trace.losses.push_back(result.loss);
    trace.gradient_norms.push_back(result.gradient_norm);
    if (i < kSteps) continue;
    for (const parallel::MoeLayerResult& layer : result.layers) {
      trace.counts.insert(trace.counts.end(), layer.sums.begin(), layer.sums.begin() + 8);
    }
  }
  return trace;
}

absl::StatusOr<TrainTrace> TraceOnThreads(const TrainLayout& layout, DType dtype,
                                          parallel::LoadSource load_source) {
  TrainTrace first;
  comm::ThreadWorld::Options threads;
  threads.num_ranks = layout.ranks;
  threads.node_of_rank = layout.nodes;
  threads.shared_bytes = layout.shared_bytes;
  EQ_RETURN_IF_ERROR(comm::RunRanks(threads, [&](comm::Communicator& world) -> absl::Status {
    EQ_ASSIGN_OR_RETURN(TrainTrace trace, TraceTraining(world, layout, dtype, load_source));
    if (world.rank() == 0) first = std::move(trace);
    return absl::OkStatus();
  }));
  return first;
}

double WorstRelative(const std::vector<double>& a, const std::vector<double>& b) {
  EQ_CHECK_EQ(a.size(), b.size());
  double worst = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]) / std::abs(b[i]));
  }
  return worst;
}

}  // namespace equipoise::testing_support
