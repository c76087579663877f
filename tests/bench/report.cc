#include "tests/bench/report.h"

#include <algorithm>
#include <cstdio>

#include "core/base/check.h"

namespace equipoise::bench {
namespace {

std::vector<double> RatiosByRound(const Measurement& measurement, const Ceilings& ceilings) {
  std::vector<double> ratios;
  for (size_t i = 0; i < measurement.seconds.size(); ++i) {
    ratios.push_back(measurement.flops / measurement.seconds[i] / ceilings.gemm_rates()[i]);
  }
  return ratios;
}

void PrintPhases(const PhaseSeconds& phases) {
  std::printf("phases of the best step, rank 0:\n");
  for (int i = 0; i < kNumPhases; ++i) {
    const auto phase = static_cast<Phase>(i);
    if (phases[phase] == 0.0) continue;
    std::printf("  %-13s %8.2f ms %5.1f %%\n", std::string(Name(phase)).c_str(),
                phases[phase] * 1e3, 100.0 * phases[phase] / phases.total());
  }
}

void PrintRate(const char* name, const std::vector<double>& rates, const char* unit) {
  std::printf("  %-24s %23s %6.1f (%5.1f) GB/s %s\n", name, "", Best(rates) / 1e9,
              Median(rates) / 1e9, unit);
}

void PrintCeilings(const Ceilings& ceilings) {
  std::printf("ceilings of a rank, all ranks busy, best (median):\n");
  for (size_t i = 0; i < ceilings.products().size(); ++i) {
    const Product& product = ceilings.products()[i];
    std::printf("  %-24s m %5ld n %5ld k %5ld  %6.1f (%5.1f) GFLOP/s\n", product.name.c_str(),
                static_cast<long>(product.m), static_cast<long>(product.n),
                static_cast<long>(product.k), Best(ceilings.product_rates(i)) / 1e9,
                Median(ceilings.product_rates(i)) / 1e9);
  }
  PrintRate("copy", ceilings.copy_rates(), "read and written");
  if (!ceilings.exchange_rates().empty()) {
    PrintRate("all-to-all", ceilings.exchange_rates(), "sent, what stays on the rank included");
  }
}

}  // namespace

void Measurement::Add(double step_seconds, const PhaseSeconds& phases) {
  if (seconds.empty() || step_seconds < *std::min_element(seconds.begin(), seconds.end())) {
    best_phases = phases;
  }
  seconds.push_back(step_seconds);
}

double Best(const std::vector<double>& rates) {
  EQ_CHECK(!rates.empty()) << "no round was timed";
  return *std::max_element(rates.begin(), rates.end());
}

double Median(std::vector<double> values) {
  EQ_CHECK(!values.empty());
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void PrintReport(const Measurement& measurement, const Ceilings& ceilings) {
  const double best = *std::min_element(measurement.seconds.begin(), measurement.seconds.end());
  const double gemm = Best(ceilings.gemm_rates());
  const double product_time = measurement.flops / gemm;
  const double permute_time = measurement.permuted_bytes / Best(ceilings.copy_rates());
  std::printf("\n%s, %zu rounds\n", measurement.name.c_str(), measurement.seconds.size());
  std::printf("share of the GEMM ceiling    best %.1f %%, median over rounds %.1f %%\n",
              100.0 * product_time / best, 100.0 * Median(RatiosByRound(measurement, ceilings)));
  if (measurement.permuted_bytes > 0.0) {
    std::printf("floor of products and permutations: %.2f + %.2f ms, %.1f %% of the best step\n",
                product_time * 1e3, permute_time * 1e3,
                100.0 * (product_time + permute_time) / best);
  }
  std::printf("step                         best %.2f ms, median %.2f ms\n", best * 1e3,
              Median(measurement.seconds) * 1e3);
  std::printf("useful rate of a rank        best %.1f GFLOP/s; tokens of all ranks %.0f /s\n",
              measurement.flops / best / 1e9, static_cast<double>(measurement.tokens) / best);
  PrintPhases(measurement.best_phases);
  PrintCeilings(ceilings);
}

}  // namespace equipoise::bench
