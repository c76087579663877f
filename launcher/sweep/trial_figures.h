#ifndef EQUIPOISE_LAUNCHER_SWEEP_TRIAL_FIGURES_H_
#define EQUIPOISE_LAUNCHER_SWEEP_TRIAL_FIGURES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <istream>
#include <optional>

#include "core/telemetry/step_gaps.h"

namespace equipoise::launcher {

// What a report says of a trial. Balance is that of the token copies each expert got, summed over
// the last steps ("window") or over the held-out text; "mean" and "worst" are over the MoE layers;
// "floor" is what the figure would be if every token chose at random. Definitions:
// routing/load_stats.h.
enum class Figure : size_t {
  kValidationLoss,  // nats per token, of the last validation
  kBitsPerByte,     // likewise
  kTrainingLoss,    // cross entropy, mean over the window
  kGiniMean,
  kGiniWorst,
  kGiniFloor,
  kMinMaxMean,
  kMinMaxWorst,
  kMinMaxFloor,
  kMaxOverMeanMean,
  kMaxOverMeanWorst,
  kMaxOverMeanFloor,
  kHeldOutGiniMean,
  kHeldOutGiniWorst,
  kHeldOutGiniFloor,
  kHeldOutMinMaxMean,
  kHeldOutMinMaxWorst,
  kHeldOutMinMaxFloor,
  kHeldOutMaxOverMeanMean,
  kHeldOutMaxOverMeanWorst,
  kHeldOutMaxOverMeanFloor,
  kTokensPerSecond,  // median over the window
  kRouteShare,       // of the window's time, on rank 0
  kExchangeShare,    // dispatch and combine, likewise
  kBytesPerToken,    // that exchanges send to other ranks, all layers, mean over the window
};
inline constexpr size_t kNumFigures = 25;

// As CSV and JSON spell it: "validation_loss".
const char* Name(Figure figure);

// What a trial's metrics.jsonl comes to. A figure whose numbers the file does not have is absent.
class TrialFigures {
 public:
  // Reads a metrics.jsonl as docs/telemetry.md describes it, in one pass that keeps `window` lines.
  // Lines that are no JSON object (one that was cut off) are counted and passed over. REQUIRES:
  // window >= 1.
  static TrialFigures Read(std::istream& metrics, int window);

  std::optional<double>& operator[](Figure figure) { return values_[static_cast<size_t>(figure)]; }
  std::optional<double> operator[](Figure figure) const {
    return values_[static_cast<size_t>(figure)];
  }
  // Of the first row of a step; none: there is no row.
  std::optional<int64_t> first_step() const { return first_step_; }
  int64_t last_step() const { return last_step_; }
  // Steps that lack their row, between the first and the last that have one.
  const StepGaps& gaps() const { return gaps_; }
  int64_t num_steps() const { return num_steps_; }  // in the window
  int64_t num_skipped() const { return num_skipped_; }

 private:
  friend class FigureReader;
  std::array<std::optional<double>, kNumFigures> values_;
  std::optional<int64_t> first_step_;
  int64_t last_step_ = 0;
  StepGaps gaps_;
  int64_t num_steps_ = 0;
  int64_t num_skipped_ = 0;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_TRIAL_FIGURES_H_
