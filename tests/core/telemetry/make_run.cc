// make_run DIRECTORY STEPS LAYERS EXPERTS RANKS [no_metrics]: the files that a run of so many steps
// would leave, for tests of their size and of the time that reading takes.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "core/io/file_system.h"
#include "core/telemetry/event_log.h"
#include "core/telemetry/metrics_writer.h"
#include "core/telemetry/router_log_writer.h"
#include "core/telemetry/step_record.h"
#include "core/telemetry/step_sink.h"
#include "routing/gate_histogram.h"
#include "routing/load_stats.h"

namespace equipoise {
namespace {

constexpr int64_t kValidations = 20;

struct Shape {
  int64_t steps;
  int layers;
  int experts;
  int ranks;
};

// Counts that wander around their mean.
void FillLayer(const Shape& shape, int64_t step, LayerRecord& layer) {
  constexpr int64_t kMean = 512;
  const double unevenness =
      0.05 + 0.6 * std::exp(-6.0 * static_cast<double>(step) / static_cast<double>(shape.steps));
  layer.rank_loads.assign(static_cast<size_t>(shape.ranks), 0);
  layer.counts.clear();
  for (int e = 0; e < shape.experts; ++e) {
    const double phase = e * 2.4 + layer.layer + static_cast<double>(step) * 0.003;
    const int64_t noise = (step * 7919 + e * 104729 + layer.layer * 31) % 37 - 18;
    const int64_t count = std::llround(kMean * (1.0 + unevenness * std::sin(phase))) + noise;
    layer.counts.push_back(count);
    layer.rank_loads[static_cast<size_t>(e % shape.ranks)] += count;
  }
}

// Gates that grow towards certainty; all copies are sent, two a token.
void FillHistograms(double progress, LayerRecord& layer) {
  const int64_t copies = std::accumulate(layer.counts.begin(), layer.counts.end(), int64_t{0});
  const int centre =
      routing::GateBin(static_cast<float>(0.1 + 0.5 * progress + 0.02 * layer.layer));
  layer.gate_bins.assign(routing::kNumGateBins, 0);
  for (const auto& [offset, share] : {std::pair(-2, 8), std::pair(-1, 4), std::pair(1, 4)}) {
    layer.gate_bins[static_cast<size_t>(centre + offset)] = copies / share;
  }
  const int64_t placed =
      std::accumulate(layer.gate_bins.begin(), layer.gate_bins.end(), int64_t{0});
  layer.gate_bins[static_cast<size_t>(centre)] = copies - placed;
  layer.token_copies = {0, 0, copies / 2};
}

void FillFigures(LayerRecord& layer) {
  const std::vector<double> counts(layer.counts.begin(), layer.counts.end());
  const routing::LoadStats load = routing::ComputeLoadStats(counts);
  layer.gini = load.gini;
  layer.min_max = load.min_max;
  layer.max_over_mean = load.max_over_mean;
  layer.cv = load.cv;
  layer.floor_gini = 0.02;
  layer.floor_min_max = 0.87;
  layer.floor_max_over_mean = 1.08;
}

ValidationRecord MakeValidation(const Shape& shape, double loss) {
  ValidationRecord validation;
  validation.loss = loss + 0.1;
  validation.domains = {{"code", loss - 0.2, {}}, {"prose", loss + 0.4, {}}};
  for (int i = 0; i < shape.layers; ++i) {
    ValidationLayerRecord& layer = validation.layers.emplace_back();
    layer.layer = i;
    layer.domain_counts.resize(validation.domains.size());
    for (int e = 0; e < shape.experts; ++e) {
      const int64_t of_code = 100 + 90 * ((e + i) % 3 == 0);
      layer.domain_counts[0].push_back(of_code);
      layer.domain_counts[1].push_back(290 - of_code);
      layer.counts.push_back(290);
    }
  }
  return validation;
}

StepRecord MakeStep(const Shape& shape, int64_t step) {
  const double progress = static_cast<double>(step) / static_cast<double>(shape.steps);
  StepRecord record;
  record.step = step;
  record.tokens_seen = step * 4096;
  record.cross_entropy = 2.0 + 3.5 * std::exp(-8.0 * progress) + 0.05 * std::sin(0.7 * step);
  record.loss = record.cross_entropy + 0.02;
  record.auxiliary = {{"balance", 0.02}};
  record.learning_rate = 5e-4 * (1.0 + std::cos(3.14159 * progress));
  record.gradient_norm = 0.8 + 0.1 * std::cos(1.3 * step);
  record.tokens_per_second = 41000.0 + 500.0 * std::sin(0.1 * step);
  record.step_seconds = 4096.0 / record.tokens_per_second;
  record.time[Phase::kExperts] = 0.6 * record.step_seconds;
  record.time[Phase::kDispatch] = 0.2 * record.step_seconds;
  record.time[Phase::kOther] = 0.2 * record.step_seconds;
  record.link_seconds = {{"self", 1e-5}, {"remote", 0.005 + 0.001 * std::sin(0.01 * step)}};
  record.layers.resize(static_cast<size_t>(shape.layers));
  for (int i = 0; i < shape.layers; ++i) {
    LayerRecord& layer = record.layers[static_cast<size_t>(i)];
    layer.layer = i;
    FillLayer(shape, step, layer);
    FillHistograms(progress, layer);
    FillFigures(layer);
    ExchangeRecord& exchange = layer.exchange.emplace();
    exchange.algorithm = "two_level";
    exchange.predicted_seconds = 0.008 + 0.001 * i;
    exchange.measured_seconds = 0.009 + 0.001 * i + 0.0005 * std::sin(0.01 * step);
  }
  const auto bytes = [&](int from, int to) {
    return int64_t{4096} * shape.experts * (from == to ? 3 : 1) + (step * 31 + from * 7 + to) % 97;
  };
  record.node_bytes = {{bytes(0, 0), bytes(0, 1)}, {bytes(1, 0), bytes(1, 1)}};
  if (step % (shape.steps / kValidations + 1) == 0) {
    record.validation = MakeValidation(shape, record.cross_entropy);
  }
  return record;
}

absl::Status Make(const std::string& directory, const Shape& shape, bool with_metrics) {
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  absl::Status status = files->CreateDirectories(directory);
  auto router_log = RouterLogWriter::Open(*files, directory, -1);
  if (!router_log.ok()) return router_log.status();
  auto metrics = MetricsWriter::Open(*files, JoinPath(directory, "metrics.jsonl"), -1);
  if (!metrics.ok()) return metrics.status();
  for (int64_t step = 1; step <= shape.steps && status.ok(); ++step) {
    const StepRecord record = MakeStep(shape, step);
    status = (*router_log)->Write(record);
    if (status.ok() && with_metrics) status = (*metrics)->Write(record);
  }
  auto events = EventLog::Open(*files, directory);
  if (!events.ok()) return events.status();
  const std::pair<RunEvent, int64_t> happened[] = {{RunEvent::kStart, 0},
                                                   {RunEvent::kCheckpoint, shape.steps / 2},
                                                   {RunEvent::kWarning, shape.steps * 2 / 3},
                                                   {RunEvent::kStart, shape.steps / 2},
                                                   {RunEvent::kEnd, shape.steps}};
  for (const auto& [event, step] : happened) {
    if (status.ok()) status = events->Write(event, absl::UnixEpoch(), step, "made up");
  }
  return status;
}

}  // namespace
}  // namespace equipoise

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "make_run DIRECTORY STEPS LAYERS EXPERTS RANKS [no_metrics]\n");
    return 2;
  }
  const equipoise::Shape shape = {std::atoll(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]),
                                  std::atoi(argv[5])};
  const absl::Status status = equipoise::Make(argv[1], shape, argc == 6);
  if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
