// make_run DIRECTORY STEPS LAYERS EXPERTS RANKS [no_metrics]: the files that a run of so many steps
// would leave, for tests of their size and of the time that reading takes.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/io/file_system.h"
#include "core/telemetry/metrics_writer.h"
#include "core/telemetry/router_log_writer.h"
#include "core/telemetry/step_record.h"
#include "core/telemetry/step_sink.h"
#include "routing/load_stats.h"

namespace equipoise {
namespace {

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
  record.layers.resize(static_cast<size_t>(shape.layers));
  for (int i = 0; i < shape.layers; ++i) {
    LayerRecord& layer = record.layers[static_cast<size_t>(i)];
    layer.layer = i;
    FillLayer(shape, step, layer);
    FillFigures(layer);
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
