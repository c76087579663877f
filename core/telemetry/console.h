#ifndef EQUIPOISE_CORE_TELEMETRY_CONSOLE_H_
#define EQUIPOISE_CORE_TELEMETRY_CONSOLE_H_

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "core/telemetry/console_writer.h"
#include "core/telemetry/step_record.h"

namespace equipoise {

// No line of the console is longer, in characters (all are ASCII).
inline constexpr int kConsoleColumns = 160;

// `step 1200/20000  loss 3.4121  gn 0.82  lr 6.0e-04  tok/s 41.2k  bal 1.18 dead 0 drop 0.00%
//  a2a 11%  ETA 1h02m` on one line. bal: the worst layer's max/mean load; dead: experts without
// a token, over all layers; drop: mean over layers; a2a: dispatch and combine of the step's time.
// These are absent for a model without MoE layers, ETA without `eta_seconds`. A validation adds its
// loss and bits per byte.
std::string FormatStepLine(const StepRecord& record, int64_t total_steps,
                           std::optional<double> eta_seconds);

// `[=====>     ]  37%` and then what fits of the step line, in at most `columns` characters.
std::string FormatProgressBar(const StepRecord& record, int64_t total_steps,
                              std::optional<double> eta_seconds, int columns);

// "3.4121"; "nan (not finite)" and "inf (not finite)" for what is no number, whatever its sign bit.
std::string FormatLoss(double loss);
// 950 -> "950", 41234 -> "41.2k", 1.5e6 -> "1.5M"; "1.0e+30" from 10^15 on.
std::string FormatCount(double value);
// "42s", "3m05s", "1h02m", "2d03h"; "?" for what is negative or not finite.
std::string FormatDuration(double seconds);

struct ConsoleOptions {
  // Where to write; not owned. Null: nothing is shown (every rank but one).
  std::FILE* out = nullptr;
  // A line that rewrites itself. Absent: if `out` is a terminal.
  std::optional<bool> progress_bar;
  // Width of the progress bar's line; 0: what the terminal says, else 80.
  int columns = 0;
  // Plain lines: one every so many steps, besides the first, the last and those with a validation.
  int64_t every_steps = 1;
  int64_t total_steps = 0;  // the last step of the run
};

// Shows training's progress to a person: on a terminal one line that rewrites itself, plain lines
// elsewhere. The remaining time is that of the steps left at the mean pace of the last few. What
// cannot be written, or not soon, is lost without a word (see ConsoleWriter). Not thread-safe.
class Console {
 public:
  explicit Console(const ConsoleOptions& options);
  // Ends the progress bar's line.
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void Show(const StepRecord& record);
  // A line of its own, above the progress bar if there is one.
  void Print(const std::string& text);

  // Seconds until the last step, as of the last Show; nothing before the second step.
  std::optional<double> eta_seconds() const { return eta_seconds_; }

 private:
  void UpdateEta(const StepRecord& record);
  void ClearBar();

  const ConsoleOptions options_;
  const bool progress_bar_;
  const int columns_;
  ConsoleWriter writer_;
  int64_t num_shown_ = 0;
  double mean_step_seconds_ = 0.0;  // exponential mean
  std::optional<double> eta_seconds_;
  bool bar_on_screen_ = false;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_CONSOLE_H_
