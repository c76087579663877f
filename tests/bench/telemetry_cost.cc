#include "tests/bench/telemetry_cost.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/time/clock.h"
#include "core/base/check.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "core/telemetry/metrics_writer.h"
#include "core/telemetry/prometheus_writer.h"
#include "core/telemetry/router_log_writer.h"
#include "core/telemetry/tensorboard_writer.h"
#include "parallel/step_report.h"
#include "routing/scores.h"
#include "routing/selection.h"
#include "routing/statistics.h"

namespace equipoise::bench {
namespace {

// As routers take them.
constexpr int64_t kTileTokens = 64;

// Nanoseconds of `work`.
template <typename Work>
int64_t Took(Work work) {
  const int64_t start = Now();
  work();
  return Now() - start;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TelemetryCost>> TelemetryCost::Create(RankMemory& memory,
                                                                     int64_t tokens,
                                                                     int num_experts, int top_k) {
  std::unique_ptr<TelemetryCost> cost(new TelemetryCost(memory, num_experts, top_k));
  EQ_ASSIGN_OR_RETURN(cost->logits_,
                      Tensor::Create(memory.device(), DType::kF32, {tokens, num_experts}));
  EQ_ASSIGN_OR_RETURN(cost->ids_, Tensor::Create(memory.device(), DType::kI32, {tokens, top_k}));
  EQ_ASSIGN_OR_RETURN(cost->gates_, Tensor::Create(memory.device(), DType::kF32, {tokens, top_k}));
  const Philox random(StreamKey(1, "logits"));
  uint64_t counter = 0;
  for (float& logit : cost->logits_.view().cpu<float>()) {
    logit = static_cast<float>(random.Normal(counter++));
  }
  routing::SelectTopK(memory.context(), cost->logits_.view(), cost->ids_.view());
  for (float& gate : cost->gates_.view().cpu<float>()) {
    gate = static_cast<float>(random.Uniform(counter++));
  }
  EQ_RETURN_IF_ERROR(cost->OpenSinks());
  return cost;
}

TelemetryCost::~TelemetryCost() {
  sinks_.clear();
  events_.reset();
  std::error_code ignored;  // it is a temporary directory
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

absl::Status TelemetryCost::OpenSinks() {
  std::string name = (std::filesystem::temp_directory_path() / "telemetry-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) return absl::UnavailableError("no temporary directory");
  directory_ = name;
  files_ = NewPosixFileSystem();
  const auto add = [this](const char* sink_name,
                          absl::StatusOr<std::unique_ptr<StepSink>> sink) -> absl::Status {
    EQ_RETURN_IF_ERROR(sink.status());
    sinks_.emplace_back(sink_name, *std::move(sink));
    return absl::OkStatus();
  };
  EQ_RETURN_IF_ERROR(
      add("metrics.jsonl", MetricsWriter::Open(*files_, JoinPath(directory_, "metrics.jsonl"),
                                               MetricsWriter::kFreshStart)));
  EQ_RETURN_IF_ERROR(add("router.bin", RouterLogWriter::Open(*files_, directory_, -1)));
  EQ_RETURN_IF_ERROR(
      add("TensorBoard",
          TensorboardWriter::Open(*files_, {JoinPath(directory_, "tb"), -1, "host", absl::Now})));
  // Every step, though training writes it every five seconds.
  EQ_RETURN_IF_ERROR(
      add("Prometheus", PrometheusWriter::Open(*files_, {JoinPath(directory_, "prom"), "bench",
                                                         absl::ZeroDuration(), absl::Now})));
  EQ_ASSIGN_OR_RETURN(EventLog events, EventLog::Open(*files_, directory_));
  events_.emplace(std::move(events));
  return absl::OkStatus();
}

void TelemetryCost::Add(const std::string& name, int64_t nanoseconds) {
  const auto found = std::find_if(parts_.begin(), parts_.end(),
                                  [&](const Part& part) { return part.name == name; });
  Part& part = found == parts_.end() ? parts_.emplace_back(Part{name, {}}) : *found;
  part.nanoseconds.push_back(nanoseconds);
}

int64_t TelemetryCost::MeasureStatistics(int layers) {
  const Context& context = memory_->context();
  const int64_t tokens = logits_.view().dim(0);
  const WorkspaceFrame frame(*context.scratch);
  routing::ScoreTile largest =
      routing::AllocateScoreTile(*context.scratch, DType::kF32, routing::ScoreFunction::kSoftmax,
                                 kTileTokens, num_experts_, /*with_softmax=*/true);
  int64_t nanoseconds = 0;
  double entropies = 0.0;
  std::vector<double> counts(static_cast<size_t>(num_experts_), 0.0);
  for (int64_t row = 0; row < tokens; row += kTileTokens) {
    const int64_t end = std::min(row + kTileTokens, tokens);
    routing::ScoreTile tile = routing::FirstRows(largest, end - row);
    tile.logits = logits_.view().Rows(row, end);
    routing::ComputeScores(context, tile);  // a router has them anyway
    const int64_t start = Now();
    for (int layer = 0; layer < layers; ++layer) {
      entropies += routing::SumOfEntropies(context, tile);
      routing::CountCopies(ids_.view().Rows(row, end).cpu<int32_t>(), counts);
    }
    nanoseconds += Now() - start;
  }
  EQ_CHECK(entropies > 0.0 && counts[0] >= 0.0);
  return nanoseconds;
}

int64_t TelemetryCost::MeasureHistograms(int layers) {
  if (!counts_.has_value()) {
    parallel::RouteCountOptions options;
    options.layers = layers;
    options.num_experts = num_experts_;
    options.top_k = options.max_copies = top_k_;
    counts_.emplace(options);
  }
  return Took([&] {
    counts_->BeginStep(1);
    for (int layer = 0; layer < layers; ++layer) {
      counts_->Record(memory_->context(), layer, ids_.view(), gates_.view(), {},
                      logits_.view().dim(0));
    }
  });
}

absl::Status TelemetryCost::Measure(const parallel::StepResult& result, int layers,
                                    const routing::ExpertPlacement& placement) {
  Add("counts and entropies", MeasureStatistics(layers));
  Add("histograms", MeasureHistograms(layers));
  StepRecord record;
  Add("load statistics",
      Took([&] { record = parallel::ReportStep(result, num_experts_, placement); }));
  absl::Status written;
  for (const auto& [name, sink] : sinks_) {
    Add(name, Took([&sink = sink, &written, &record] { written.Update(sink->Write(record)); }));
  }
  Add("events.jsonl", Took([&] {
        written.Update(events_->Write(RunEvent::kWarning, absl::Now(), record.step, "a text"));
      }));
  return written;
}

}  // namespace equipoise::bench
