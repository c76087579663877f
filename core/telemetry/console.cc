#include "core/telemetry/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace equipoise {
namespace {

// Weight of the newest step in the mean pace: about the last twenty steps count.
constexpr double kPaceWeight = 0.1;
constexpr int kDefaultColumns = 80;
constexpr int kMinBarColumns = 20;
// Back to the first column and erase to the end (ECMA-48 "erase in line").
constexpr char kClearLine[] = "\r\x1b[2K";

bool WantsBar(const ConsoleOptions& options) {
  if (options.out == nullptr) return false;
  return options.progress_bar.value_or(::isatty(::fileno(options.out)) != 0);
}

int ColumnsOf(const ConsoleOptions& options) {
  int columns = options.columns;
  winsize size = {};
  if (columns <= 0 && options.out != nullptr &&
      ::ioctl(::fileno(options.out), TIOCGWINSZ, &size) == 0) {
    columns = size.ws_col;
  }
  if (columns <= 0) columns = kDefaultColumns;
  return std::clamp(columns, kMinBarColumns, kConsoleColumns);
}

// What the lines say of all MoE layers together.
struct Balance {
  double worst_max_over_mean = 0.0;
  int64_t dead = 0;
  double dropped_share = 0.0;
};

Balance Summarise(const std::vector<LayerRecord>& layers) {
  Balance balance;
  for (const LayerRecord& layer : layers) {
    balance.worst_max_over_mean = std::max(balance.worst_max_over_mean, layer.max_over_mean);
    balance.dead += layer.dead;
    balance.dropped_share += layer.dropped_share / static_cast<double>(layers.size());
  }
  return balance;
}

// Everything after the loss, in the order of importance that a narrow terminal cuts.
std::string Details(const StepRecord& record) {
  std::string text = absl::StrFormat("  gn %.3g  lr %.1e  tok/s %s", record.gradient_norm,
                                     record.learning_rate, FormatCount(record.tokens_per_second));
  if (record.mfu.has_value()) absl::StrAppendFormat(&text, "  MFU %.1f%%", *record.mfu * 100.0);
  if (record.layers.empty()) return text;
  const Balance balance = Summarise(record.layers);
  const double exchange = record.time[Phase::kDispatch] + record.time[Phase::kCombine];
  absl::StrAppendFormat(&text, "  bal %.2f dead %d drop %.2f%%", balance.worst_max_over_mean,
                        balance.dead, balance.dropped_share * 100.0);
  if (record.step_seconds > 0.0) {
    absl::StrAppendFormat(&text, "  a2a %.0f%%", exchange / record.step_seconds * 100.0);
  }
  return text;
}

std::string Cut(std::string text, int columns) {
  if (text.size() > static_cast<size_t>(columns)) text.resize(static_cast<size_t>(columns));
  return text;
}

}  // namespace

std::string FormatLoss(double loss) {
  if (std::isfinite(loss)) return absl::StrFormat("%.4f", loss);
  return absl::StrCat(std::isnan(loss) ? "nan" : loss > 0.0 ? "inf" : "-inf", " (not finite)");
}

std::string FormatCount(double value) {
  if (std::isnan(value)) return "nan";
  if (std::abs(value) >= 1e15) return absl::StrFormat("%.1e", value);
  for (const auto& [unit, suffix] :
       {std::pair(1e12, "T"), std::pair(1e9, "G"), std::pair(1e6, "M"), std::pair(1e3, "k")}) {
    // From where "%.1f" of the smaller unit would read 1000.0.
    if (value >= unit * 0.99995) return absl::StrFormat("%.1f%s", value / unit, suffix);
  }
  return absl::StrFormat("%.0f", value);
}

std::string FormatDuration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0.0 || seconds > 1e12) return "?";
  const int64_t total = std::llround(seconds);
  if (total < 60) return absl::StrFormat("%ds", total);
  if (total < 3600) return absl::StrFormat("%dm%02ds", total / 60, total % 60);
  if (total < 86400) return absl::StrFormat("%dh%02dm", total / 3600, total / 60 % 60);
  return absl::StrFormat("%dd%02dh", total / 86400, total / 3600 % 24);
}

std::string FormatStepLine(const StepRecord& record, int64_t total_steps,
                           std::optional<double> eta_seconds) {
  std::string text =
      absl::StrFormat("step %d/%d  loss %s", record.step, total_steps, FormatLoss(record.loss));
  absl::StrAppend(&text, Details(record));
  if (record.validation.has_value()) {
    absl::StrAppend(&text, "  val ", FormatLoss(record.validation->loss));
    const bool is_finite = std::isfinite(record.validation->loss);
    if (is_finite && record.validation->bits_per_byte.has_value()) {
      absl::StrAppendFormat(&text, " (%.3f bits/byte)", *record.validation->bits_per_byte);
    }
  }
  if (eta_seconds.has_value()) absl::StrAppend(&text, "  ETA ", FormatDuration(*eta_seconds));
  return Cut(std::move(text), kConsoleColumns);
}

std::string FormatProgressBar(const StepRecord& record, int64_t total_steps,
                              std::optional<double> eta_seconds, int columns) {
  const double share =
      total_steps > 0
          ? std::clamp(static_cast<double>(record.step) / static_cast<double>(total_steps), 0.0,
                       1.0)
          : 0.0;
  const int width = std::clamp(columns / 6, 5, 25);
  const int filled = static_cast<int>(share * width);
  std::string bar(static_cast<size_t>(filled), '=');
  if (filled < width) bar += '>';
  bar.resize(static_cast<size_t>(width), ' ');
  std::string text = absl::StrFormat("[%s] %3d%%", bar, static_cast<int>(share * 100.0));
  if (eta_seconds.has_value()) absl::StrAppend(&text, "  ETA ", FormatDuration(*eta_seconds));
  absl::StrAppendFormat(&text, "  step %d/%d  loss %s", record.step, total_steps,
                        FormatLoss(record.loss));
  absl::StrAppend(&text, Details(record));
  return Cut(std::move(text), columns);
}

Console::Console(const ConsoleOptions& options)
    : options_(options),
      progress_bar_(WantsBar(options)),
      columns_(ColumnsOf(options)),
      writer_(options.out) {}

Console::~Console() {
  if (bar_on_screen_) writer_.Write("\n");
}

void Console::UpdateEta(const StepRecord& record) {
  // The first step allocates and warms up, so it says nothing about the pace.
  if (num_shown_++ == 0) return;
  mean_step_seconds_ = num_shown_ == 2 ? record.step_seconds
                                       : (1.0 - kPaceWeight) * mean_step_seconds_ +
                                             kPaceWeight * record.step_seconds;
  const int64_t left = std::max<int64_t>(options_.total_steps - record.step, 0);
  eta_seconds_ = static_cast<double>(left) * mean_step_seconds_;
}

void Console::Show(const StepRecord& record) {
  UpdateEta(record);
  if (options_.out == nullptr) return;
  if (progress_bar_) {
    if (record.validation.has_value()) {
      Print(FormatStepLine(record, options_.total_steps, eta_seconds_));
    }
    // One column less: writing the last one makes some terminals scroll.
    const std::string bar =
        FormatProgressBar(record, options_.total_steps, eta_seconds_, columns_ - 1);
    writer_.Write(absl::StrCat(kClearLine, bar));
    bar_on_screen_ = true;
  } else {
    const int64_t every = std::max<int64_t>(options_.every_steps, 1);
    const bool due = num_shown_ == 1 || record.step % every == 0 ||
                     record.step == options_.total_steps || record.validation.has_value();
    if (due) Print(FormatStepLine(record, options_.total_steps, eta_seconds_));
  }
}

void Console::ClearBar() {
  if (!bar_on_screen_) return;
  writer_.Write(kClearLine);
  bar_on_screen_ = false;
}

void Console::Print(const std::string& text) {
  if (options_.out == nullptr) return;
  ClearBar();
  writer_.Write(absl::StrCat(text, "\n"));
}

}  // namespace equipoise
