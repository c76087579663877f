#include "launcher/commands/run_summary.h"

#include <cmath>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/data/unigram.h"
#include "core/telemetry/console.h"

namespace equipoise::launcher {
namespace {

// Unigram entropy in nats by domain, and of all domains together.
struct Entropies {
  std::map<std::string, double> of_domain;
  std::optional<double> overall;
};

Entropies CountEntropies(const TokenDataset& data, const ValidationWindows& windows) {
  Entropies entropies;
  std::vector<int64_t> counts;
  for (int domain = 0; domain < data.num_domains(); ++domain) {
    const absl::StatusOr<UnigramStats> stats = CountUnigrams(windows, data, domain);
    if (!stats.ok()) continue;
    entropies.of_domain[data.domain_name(domain)] = stats->entropy_nats;
    counts.resize(stats->counts.size());
    for (size_t token = 0; token < counts.size(); ++token) counts[token] += stats->counts[token];
  }
  if (!counts.empty()) entropies.overall = EntropyNats(counts);
  return entropies;
}

void AppendLoss(const std::string& name, const DomainLoss& first, const DomainLoss& last,
                std::optional<double> entropy, std::string* text) {
  absl::StrAppendFormat(text, "  %-14s %8s -> %s nats", name, FormatLoss(first.loss),
                        FormatLoss(last.loss));
  if (std::isfinite(first.loss) && std::isfinite(last.loss) && first.bits_per_byte.has_value() &&
      last.bits_per_byte.has_value()) {
    absl::StrAppendFormat(text, "  %8.4f -> %.4f bits per byte", *first.bits_per_byte,
                          *last.bits_per_byte);
  }
  if (entropy.has_value()) absl::StrAppendFormat(text, "  unigram %.4f nats", *entropy);
  absl::StrAppend(text, "\n");
}

std::string DescribeValidations(const ValidationRecord& first, const ValidationRecord& last,
                                const Entropies& entropies) {
  std::string text = "validation loss, first -> last\n";
  AppendLoss("all", {"all", first.loss, first.bits_per_byte},
             {"all", last.loss, last.bits_per_byte}, entropies.overall, &text);
  for (size_t d = 0; d < last.domains.size() && d < first.domains.size(); ++d) {
    const auto found = entropies.of_domain.find(last.domains[d].domain);
    AppendLoss(
        last.domains[d].domain, first.domains[d], last.domains[d],
        found == entropies.of_domain.end() ? std::nullopt : std::optional<double>(found->second),
        &text);
  }
  return text;
}

std::string DescribeBalance(const StepRecord& record) {
  if (record.layers.empty()) return "";
  std::string text = absl::StrFormat(
      "balance of step %d (in brackets: what chance alone would give)\n", record.step);
  for (const LayerRecord& layer : record.layers) {
    absl::StrAppendFormat(&text,
                          "  layer %-3d gini %.3f [%.3f]  max/mean %.2f [%.2f]  min/max %.2f  "
                          "dead %d  dropped %.2f%%\n",
                          layer.layer, layer.gini, layer.floor_gini, layer.max_over_mean,
                          layer.floor_max_over_mean, layer.min_max, layer.dead,
                          100.0 * layer.dropped_share);
  }
  return text;
}

}  // namespace

std::string DescribeRun(const parallel::TrainSummary& summary, const TokenDataset* validation,
                        const ValidationWindows* windows, const std::string& run_directory) {
  const int64_t steps = summary.last_step - summary.first_step + 1;
  std::string text = absl::StrCat(
      "\ntrained ", steps, steps == 1 ? " step" : " steps", ", up to step ", summary.last_step,
      ", ", FormatCount(static_cast<double>(summary.tokens_seen)), " tokens",
      summary.stopped == parallel::StopReason::kTime ? "; stopped by the time limit" : "", "\n");
  if (steps > 0) {
    absl::StrAppend(&text, FormatCount(summary.tokens_per_second), " tokens per second\n");
  }
  if (summary.first_validation.has_value() && summary.last_validation.has_value()) {
    const Entropies entropies = validation == nullptr || windows == nullptr
                                    ? Entropies()
                                    : CountEntropies(*validation, *windows);
    absl::StrAppend(
        &text, DescribeValidations(*summary.first_validation, *summary.last_validation, entropies));
  }
  absl::StrAppend(&text, DescribeBalance(summary.last_record), "run directory: ", run_directory,
                  "\n");
  return text;
}

}  // namespace equipoise::launcher
