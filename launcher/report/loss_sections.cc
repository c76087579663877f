// Overview and losses.

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "launcher/chart/markup.h"
#include "launcher/report/curves.h"
#include "launcher/report/run_sections.h"

namespace equipoise::launcher {
namespace {

std::string Tile(const std::string& value, const std::string& name) {
  return absl::StrCat("<div class=\"tile\"><b>", EscapeMarkup(value), "</b><span>",
                      EscapeMarkup(name), "</span></div>");
}

constexpr char kNotFinite[] = "not finite";

std::string LastOf(const Series& series) {
  return series.empty() ? "" : FormatFigure(series.last());
}
// Of a loss, whose last finite value says nothing once it has become another.
std::string LastLoss(const RunHistory& run) {
  if (run.num_not_finite > 0 && !run.cross_entropy.ends_finite()) return kNotFinite;
  return LastOf(run.cross_entropy);
}
std::string ValidationLoss(const ValidationRow* validation) {
  if (validation == nullptr) return "";
  return std::isfinite(validation->loss) ? FormatFigure(validation->loss) : kNotFinite;
}
std::string MeanOf(const Series& series) {
  return series.empty() ? "" : FormatFigure(series.mean());
}

const ValidationRow* LastValidation(const RunHistory& run) {
  return run.validations.empty() ? nullptr : &run.validations.back().row;
}

// Something of a run; an empty value is absent.
struct Fact {
  std::string name;
  std::string value;
  std::string chance = "";  // what chance alone would give
};

std::string ChanceOf(const BalanceHistory& figure) {
  return figure.floor.empty() ? "" : absl::StrFormat("%.3g", figure.floor.last());
}

// What is known of a run at a glance: the same facts, in the same order, of every run.
std::vector<Fact> Glance(const RunHistory& run) {
  const ValidationRow* validation = LastValidation(run);
  const auto number = [](double value) { return std::isfinite(value) ? FormatFigure(value) : ""; };
  return {{"state", run.state},
          {"last step", absl::StrCat(run.last_step)},
          {"tokens", run.tokens > 0.0 ? FormatFigure(run.tokens) : ""},
          {"cross entropy, last step", LastLoss(run)},
          {"validation loss", ValidationLoss(validation)},
          {"bits per byte", validation != nullptr ? number(validation->bits_per_byte) : ""},
          {"tokens a second, mean", MeanOf(run.tokens_per_second)},
          {"MFU, mean", run.mfu.empty() ? "" : absl::StrFormat("%.1f %%", 100.0 * run.mfu.mean())},
          {"Gini, worst layer, last step", LastOf(run.gini.worst), ChanceOf(run.gini)},
          {"busiest over mean, worst layer, last step", LastOf(run.max_over_mean.worst),
           ChanceOf(run.max_over_mean)}};
}

// What a reader must know before believing the rest.
std::string Warnings(const RunHistory& run) {
  std::vector<std::string> texts;
  if (run.num_steps == 0) {
    texts.emplace_back("This run has no finished step: there is nothing to draw yet.");
  }
  if (run.state == "interrupted") {
    texts.push_back(absl::StrCat("The run was interrupted: ", run.reason, "."));
  }
  if (run.state == "running" && !run.reason.empty()) {
    texts.push_back(absl::StrCat("The run goes on, as far as is known: ", run.reason, "."));
  }
  if (run.state == "failed") texts.push_back(absl::StrCat("The run failed: ", run.reason));
  if (run.num_not_finite > 0) {
    texts.push_back(absl::StrCat(run.num_not_finite,
                                 run.num_not_finite == 1 ? " step has" : " steps have",
                                 " a loss that is not finite."));
  }
  if (run.num_validations_not_finite > 0) {
    texts.push_back(
        absl::StrCat(run.num_validations_not_finite,
                     run.num_validations_not_finite == 1 ? " validation has" : " validations have",
                     " a loss that is not finite."));
  }
  for (const std::string& damage : run.damage) texts.push_back(absl::StrCat(damage, "."));
  std::string html;
  for (const std::string& text : texts) {
    absl::StrAppend(&html, "<p class=\"absent warn\">", EscapeMarkup(run.name), ": ",
                    EscapeMarkup(text), "</p>\n");
  }
  return html;
}

// Chance is another for each run: it depends on tokens, experts and copies.
std::string ComparisonTable(const Runs& runs) {
  std::vector<std::vector<std::string>> rows = {{"run"}};
  for (const Fact& fact : Glance(runs[0])) rows[0].push_back(fact.name);
  for (const RunHistory& run : runs) {
    std::vector<std::string> row = {run.name};
    for (const Fact& fact : Glance(run)) {
      const size_t column = row.size();
      if (!fact.chance.empty()) rows[0][column] = absl::StrCat(fact.name, " (chance)");
      row.push_back(fact.chance.empty() ? fact.value
                                        : absl::StrCat(fact.value, " (", fact.chance, ")"));
    }
    rows.push_back(std::move(row));
  }
  return absl::StrCat("<div class=\"card\">", HtmlTable(rows), "</div>\n");
}

Curve ValidationCurve(const RunHistory& run, const std::string& name, int style) {
  Curve curve;
  curve.name = name;
  curve.style = style;
  curve.dots = true;
  for (const ValidationPoint& point : run.validations) {
    const double loss = point.row.loss;
    curve.points.push_back({static_cast<double>(point.step), loss, loss, loss});
  }
  return curve;
}

std::string LossChart(const Runs& runs) {
  LineChart chart;
  chart.text = {"chart-loss", "Cross entropy", "", ""};
  chart.x_label = "step";
  chart.y_label = "nats per token";
  chart.marks = MarksOf(runs);
  for (size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].cross_entropy.empty()) continue;
    const std::string name = runs.size() == 1 ? "training" : runs[i].name;
    chart.curves.push_back(MakeCurve(name, runs[i].cross_entropy, static_cast<int>(i)));
    chart.text.note = BucketNote(runs[i].cross_entropy);
    absl::StrAppend(&chart.text.summary, runs[i].name, " ends at ",
                    FormatFigure(runs[i].cross_entropy.last()), ". ");
  }
  if (runs.size() == 1 && !runs[0].validations.empty()) {
    chart.curves.push_back(ValidationCurve(runs[0], "validation", 1));
  }
  return chart.curves.empty() ? "" : DrawLineChart(chart);
}

std::string ValidationChart(const Runs& runs) {
  LineChart chart;
  chart.text = {"chart-validation", "Validation loss", "", ""};
  chart.x_label = "step";
  chart.y_label = "nats per token";
  for (size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].validations.empty()) continue;
    chart.curves.push_back(ValidationCurve(runs[i], runs[i].name, static_cast<int>(i)));
  }
  return chart.curves.empty() || runs.size() == 1 ? "" : DrawLineChart(chart);
}

// A curve a domain, of one run.
std::string DomainLossChart(const RunHistory& run) {
  const ValidationRow* last = LastValidation(run);
  if (last == nullptr || last->domain_losses.size() < 2) return "";
  LineChart chart;
  chart.text = {"chart-domain-loss", "Validation loss by domain", "", ""};
  chart.x_label = "step";
  chart.y_label = "nats per token";
  for (size_t d = 0; d < last->domain_losses.size(); ++d) {
    Curve curve;
    curve.name = last->domain_losses[d].first;
    curve.style = static_cast<int>(d);
    curve.dashed = d >= kNumStyles;
    for (const ValidationPoint& point : run.validations) {
      if (point.row.domain_losses.size() <= d) continue;
      const double loss = point.row.domain_losses[d].second;
      curve.points.push_back({static_cast<double>(point.step), loss, loss, loss});
    }
    chart.curves.push_back(std::move(curve));
  }
  return DrawLineChart(chart);
}

}  // namespace

Section OverviewSection(const Runs& runs) {
  std::string html;
  for (const RunHistory& run : runs) absl::StrAppend(&html, Warnings(run));
  if (runs.size() > 1) {
    absl::StrAppend(&html, ComparisonTable(runs));
  } else {
    absl::StrAppend(&html, "<div class=\"tiles\">");
    for (const Fact& fact : Glance(runs[0])) {
      if (fact.value.empty()) continue;
      const std::string chance =
          fact.chance.empty() ? "" : absl::StrCat(" (chance: ", fact.chance, ")");
      absl::StrAppend(&html, Tile(fact.value, absl::StrCat(fact.name, chance)));
    }
    absl::StrAppend(&html, "</div>\n");
  }
  return {"overview", "Overview", html};
}

Section LossSection(const Runs& runs) {
  std::string figures = LossChart(runs);
  absl::StrAppend(
      &figures, ValidationChart(runs), runs.size() == 1 ? DomainLossChart(runs[0]) : "",
      DrawFigureOfRuns(runs,
                       {"chart-learning-rate", "Learning rate", "learning rate", "",
                        [](const RunHistory& run) -> const Series& { return run.learning_rate; }}),
      DrawFigureOfRuns(runs,
                       {"chart-gradient-norm", "Gradient norm before clipping", "gradient norm", "",
                        [](const RunHistory& run) -> const Series& { return run.gradient_norm; }}));
  return {"loss", "Loss", figures.empty() ? Absent("No step has finished yet.") : Grid(figures)};
}

}  // namespace equipoise::launcher
