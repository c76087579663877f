#ifndef EQUIPOISE_TESTS_BENCH_REPORT_H_
#define EQUIPOISE_TESTS_BENCH_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/telemetry/phase.h"
#include "tests/bench/ceilings.h"

namespace equipoise::bench {

// What the rounds of a benchmark gave, the same on every rank but for the phases.
struct Measurement {
  std::string name;
  double flops = 0.0;           // useful work of one step, a rank
  int64_t tokens = 0;           // of one step, all ranks
  double permuted_bytes = 0.0;  // read and written by the permutations of a step, a rank
  std::vector<double> seconds;  // of each round's step
  PhaseSeconds best_phases;     // of the fastest step, this rank

  // Adds a round.
  void Add(double step_seconds, const PhaseSeconds& phases);
};

double Best(const std::vector<double>& rates);  // the largest
double Median(std::vector<double> values);

// Prints times, rates and phases, ratios to the ceilings first. The share of the ceiling is given
// twice: of the fastest step to the fastest product of all rounds, and the median of the ratios
// inside each round, which other work on the machine disturbs less.
void PrintReport(const Measurement& measurement, const Ceilings& ceilings);

}  // namespace equipoise::bench

#endif  // EQUIPOISE_TESTS_BENCH_REPORT_H_
