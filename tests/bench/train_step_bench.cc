// A whole training step: forward, backward, gradient sum, clipping and update of a small language
// model on random bytes. Every round measures the ceilings and then a step, see ceilings.h. What
// counts as work is the model's: three times the forward pass, causal attention as half a square,
// nothing for what is computed again.
//
//   train_step_bench --ranks=2 --rounds=15
//   mpirun -np 2 train_step_bench --world=mpi

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "parallel/model_flops.h"
#include "parallel/train_step.h"
#include "tests/bench/ceilings.h"
#include "tests/bench/report.h"
#include "tests/bench/telemetry_cost.h"
#include "tests/bench/world.h"

ABSL_FLAG(bool, tiny, false, "a model that takes milliseconds");
ABSL_FLAG(int, sequences, 8, "sequences a rank");
ABSL_FLAG(int, rounds, 15, "timed rounds");
ABSL_FLAG(int, warm_ups, 3, "steps before them");

namespace equipoise::bench {
namespace {

parallel::TrainOptions Options(int ranks) {
  const bool tiny = absl::GetFlag(FLAGS_tiny);
  parallel::TrainOptions options;
  parallel::ModelOptions& model = options.model;
  model.vocabulary = 257;
  model.hidden = tiny ? 16 : 256;
  model.num_layers = tiny ? 2 : 4;
  model.num_heads = tiny ? 2 : 8;
  model.num_kv_heads = 2;
  model.head_dim = tiny ? 8 : 32;
  model.qk_norm = true;
  model.moe.expert_width = tiny ? 12 : 256;
  model.moe.router.num_experts = tiny ? 4 : 16;
  model.moe.router.top_k = 2;
  model.moe.router.settings.Set("score", std::string("SOFTMAX"));
  model.moe.router.settings.Set("selection", std::string("SCORE_ALL"));
  model.moe.router.settings.Set("renormalise", true);
  model.moe.router.settings.Set("scaling_factor", 1.0);
  model.moe.router.balance_loss.coefficient = 0.01;
  options.batch.sequences = absl::GetFlag(FLAGS_sequences) * ranks;
  options.batch.sequence_length = tiny ? 8 : 256;
  options.optimizer.schedule.peak = 1e-3;
  options.optimizer.schedule.total_steps = 1000;
  options.seed = 1;
  return options;
}

parallel::SampleSource RandomBytes() {
  return [](uint64_t index, std::span<int32_t> tokens, int* domain) {
    const Philox random(StreamKey(1, "bytes"));
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = static_cast<int32_t>(random.Below(256, i, index));
    }
    if (domain != nullptr) *domain = 0;
    return absl::OkStatus();
  };
}

std::string Describe(const parallel::TrainOptions& options, int ranks) {
  const parallel::ModelOptions& model = options.model;
  return absl::StrCat("training step: L ", model.num_layers, ", H ", model.hidden, ", F ",
                      model.moe.expert_width, ", E ", model.moe.router.num_experts, ", K ",
                      model.moe.router.top_k, ", V ", model.vocabulary, ", S ",
                      options.batch.sequence_length, ", ", options.batch.sequences / ranks,
                      " sequences a rank, ", ranks, " ranks");
}

Ceilings::Options CeilingsOf(const parallel::TrainOptions& options, int ranks) {
  const parallel::MoeOptions& moe = options.model.moe;
  const int64_t copies = options.batch.sequences * options.batch.sequence_length * moe.router.top_k;
  Ceilings::Options ceilings;
  ceilings.hidden = options.model.hidden;
  ceilings.width = moe.expert_width;
  ceilings.expert_rows = copies / moe.router.num_experts;
  ceilings.moved_rows = copies / ranks;
  return ceilings;
}

// Medians, against the fastest step, in which they weigh most.
void PrintTelemetry(const TelemetryCost& cost, const Measurement& measurement) {
  const double best = *std::min_element(measurement.seconds.begin(), measurement.seconds.end());
  const auto print = [best](const std::string& name, double seconds) {
    std::printf("  %-22s %8.3f ms  %6.3f %%\n", name.c_str(), seconds * 1e3,
                100.0 * seconds / best);
  };
  std::printf("telemetry, everything on, in the median and of the best step:\n");
  double total = 0.0;
  for (const TelemetryCost::Part& part : cost.parts()) {
    std::vector<int64_t> times = part.nanoseconds;
    std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
    const double seconds = 1e-9 * static_cast<double>(times[times.size() / 2]);
    print(part.name, seconds);
    total += seconds;
  }
  print("all telemetry", total);
}

absl::Status RunRank(comm::Communicator& world) {
  const int ranks = world.size();
  const parallel::TrainOptions options = Options(ranks);
  const parallel::SampleSource source = RandomBytes();
  EQ_ASSIGN_OR_RETURN(const auto memory, RankMemory::Create());
  EQ_ASSIGN_OR_RETURN(Stopwatch stopwatch, Stopwatch::Create(world, *memory));
  EQ_ASSIGN_OR_RETURN(const auto step, parallel::TrainStep::Create(memory->device(), world, options,
                                                                   /*num_domains=*/1));
  EQ_ASSIGN_OR_RETURN(Ceilings ceilings,
                      Ceilings::Create(world, *memory, stopwatch, CeilingsOf(options, ranks)));
  Measurement measurement;
  measurement.name = Describe(options, ranks);
  measurement.tokens = options.batch.sequences * options.batch.sequence_length;
  measurement.flops =
      parallel::TrainingFlopsPerToken(options.model, options.batch.sequence_length) *
      static_cast<double>(measurement.tokens) / ranks;
  const routing::RouterOptions& router = options.model.moe.router;
  EQ_ASSIGN_OR_RETURN(
      const auto telemetry,
      TelemetryCost::Create(*memory, measurement.tokens / ranks, router.num_experts, router.top_k));
  const int warm_ups = absl::GetFlag(FLAGS_warm_ups);
  const int steps = warm_ups + absl::GetFlag(FLAGS_rounds);
  for (int64_t i = 1; i <= steps; ++i) {
    if (i > warm_ups) EQ_RETURN_IF_ERROR(ceilings.MeasureRound());
    PhaseSeconds phases;
    parallel::StepResult result;
    EQ_ASSIGN_OR_RETURN(const double seconds, stopwatch.Time([&]() -> absl::Status {
      EQ_ASSIGN_OR_RETURN(result, step->Run(source, i));
      phases = step->timers().FinishStep();
      return absl::OkStatus();
    }));
    EQ_RETURN_IF_ERROR(
        telemetry->Measure(result, static_cast<int>(result.layers.size()), step->placement()));
    if (i > warm_ups) measurement.Add(seconds, phases);
  }
  if (world.rank() > 0) return absl::OkStatus();
  PrintReport(measurement, ceilings);
  PrintTelemetry(*telemetry, measurement);
  return absl::OkStatus();
}

}  // namespace
}  // namespace equipoise::bench

int main(int argc, char** argv) {
  return equipoise::bench::RunOnWorld(argc, argv, equipoise::bench::RunRank);
}
