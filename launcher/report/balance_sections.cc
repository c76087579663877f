// Balance over the steps, the load of each layer, and which domain goes where.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "launcher/chart/heat_map.h"
#include "launcher/chart/markup.h"
#include "launcher/report/curves.h"
#include "launcher/report/run_sections.h"
#include "routing/gate_histogram.h"
#include "routing/load_stats.h"

namespace equipoise::launcher {
namespace {

constexpr size_t kLayersInView = 6;  // heat maps; further ones are folded away
constexpr char kDense[] =
    "No step with a Mixture-of-Experts layer is recorded: the model is dense, or no step has "
    "finished.";

struct BalanceFigure {
  const char* id;
  const char* title;
  const char* note;
  BalanceHistory RunHistory::*history;
};
constexpr BalanceFigure kFigures[] = {
    {"chart-gini", "Gini coefficient of the experts' load",
     "0 is even. Chance: what it would be if every token chose at random.", &RunHistory::gini},
    {"chart-max-over-mean", "Busiest expert over the mean (MaxVio + 1)",
     "1 is even; the busiest expert holds the others up by this factor.",
     &RunHistory::max_over_mean},
    {"chart-min-max", "Least over greatest load", "1 is even; 0 means an expert without a token.",
     &RunHistory::min_max},
};

void AddCurves(const RunHistory& run, const BalanceHistory& history, LineChart& chart) {
  if (history.worst.empty()) return;
  chart.curves.push_back(MakeCurve("worst layer", history.worst, 1));
  if (run.layers.size() > 1) {
    chart.curves.push_back(MakeCurve("mean of the layers", history.mean, 0));
  }
  if (history.floor.empty()) return;
  chart.curves.push_back(MakeCurve("chance", history.floor, 7));
  chart.curves.back().dashed = true;
}

std::string BalanceChart(const Runs& runs, const BalanceFigure& figure) {
  LineChart chart;
  chart.text = {figure.id, figure.title, "", figure.note};
  chart.x_label = "step";
  chart.y_label = runs.size() == 1 ? "" : "worst layer";
  chart.marks = MarksOf(runs);
  if (runs.size() == 1) AddCurves(runs[0], runs[0].*figure.history, chart);
  for (size_t i = 0; runs.size() > 1 && i < runs.size(); ++i) {
    const BalanceHistory& history = runs[i].*figure.history;
    if (history.worst.empty()) continue;
    chart.curves.push_back(MakeCurve(runs[i].name, history.worst, static_cast<int>(i)));
    if (i > 0 || history.floor.empty()) continue;
    chart.curves.push_back(MakeCurve("chance, first run", history.floor, 7));
    chart.curves.back().dashed = true;
  }
  for (const Curve& curve : chart.curves) {
    if (curve.points.empty()) continue;
    absl::StrAppend(&chart.text.summary, curve.name, " ends at ",
                    FormatFigure(curve.points.back().y), ". ");
  }
  return chart.curves.empty() ? "" : DrawLineChart(chart);
}

std::vector<double> ToDoubles(const std::vector<int64_t>& counts) {
  return {counts.begin(), counts.end()};
}

// The share of all copies (y) that the least loaded share of the experts (x) has.
Curve LorenzCurve(const std::string& name, const std::vector<int64_t>& counts, int style) {
  Curve curve;
  curve.name = name;
  curve.style = style;
  std::vector<double> sorted = ToDoubles(counts);
  std::sort(sorted.begin(), sorted.end());
  const double total = std::accumulate(sorted.begin(), sorted.end(), 0.0);
  double sum = 0.0;
  curve.points.push_back({0.0, 0.0, 0.0, 0.0});
  for (size_t i = 0; i < sorted.size(); ++i) {
    sum += sorted[i];
    const double y = total > 0.0 ? sum / total : 0.0;
    curve.points.push_back(
        {static_cast<double>(i + 1) / static_cast<double>(sorted.size()), y, y, y});
  }
  return curve;
}

// Of the window's sums, if every token had chosen at random.
std::optional<double> FloorOfWindow(const RunHistory& run, const LayerHistory& layer) {
  if (run.last_step <= 0 || run.tokens <= 0.0) return std::nullopt;
  const double tokens = run.tokens / static_cast<double>(run.last_step) *
                        static_cast<double>(layer.last_counts.num_steps());
  const std::vector<double> counts = ToDoubles(layer.last_counts.sums());
  const double copies = std::accumulate(counts.begin(), counts.end(), 0.0);
  if (tokens < 1.0 || copies <= 0.0) return std::nullopt;
  const int experts = static_cast<int>(counts.size());
  const double per_token = std::min(copies / tokens, static_cast<double>(experts));
  return routing::SamplingFloor(std::llround(tokens), experts, per_token).gini;
}

// The most even layer, the middle one and the least even one; all of them if there are few.
std::vector<const LayerHistory*> LayersForLorenz(const RunHistory& run) {
  std::vector<const LayerHistory*> layers;
  for (const LayerHistory& layer : run.layers) {
    if (!layer.last_counts.sums().empty()) layers.push_back(&layer);
  }
  if (layers.size() <= 4) return layers;
  std::sort(layers.begin(), layers.end(), [](const LayerHistory* a, const LayerHistory* b) {
    return routing::ComputeLoadStats(ToDoubles(a->last_counts.sums())).gini <
           routing::ComputeLoadStats(ToDoubles(b->last_counts.sums())).gini;
  });
  return {layers.back(), layers[layers.size() / 2], layers.front()};
}

std::string LorenzChart(const RunHistory& run, const std::string& id) {
  const std::vector<const LayerHistory*> layers = LayersForLorenz(run);
  if (layers.empty()) return "";
  LineChart chart;
  chart.text = {id,
                absl::StrCat("Lorenz curve of the last ", layers[0]->last_counts.num_steps(),
                             " steps together"),
                "", ""};
  chart.x_label = "share of the experts, least loaded first";
  chart.y_label = "share of the token copies";
  chart.curves.push_back({"even", {{0, 0, 0, 0}, {1, 1, 1, 1}}, 7, true, false});
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::vector<int64_t>& counts = layers[i]->last_counts.sums();
    const double gini = routing::ComputeLoadStats(ToDoubles(counts)).gini;
    std::string name = absl::StrFormat("layer %d: Gini %.3f", layers[i]->layer, gini);
    if (const auto floor = FloorOfWindow(run, *layers[i])) {
      absl::StrAppendFormat(&name, " (chance %.3f)", *floor);
    }
    chart.curves.push_back(LorenzCurve(name, counts, static_cast<int>(i)));
    absl::StrAppend(&chart.text.summary, name, ". ");
  }
  return DrawLineChart(chart);
}

// The first layer, the last and one between: how sure routers are differs with depth.
std::vector<const LayerHistory*> LayersForGates(const RunHistory& run) {
  std::vector<const LayerHistory*> layers;
  for (const LayerHistory& layer : run.layers) {
    if (layer.gates.num_experts() == routing::kNumGateBins) layers.push_back(&layer);
  }
  if (layers.size() <= 3) return layers;
  return {layers.front(), layers[layers.size() / 2], layers.back()};
}

Curve GateCurve(const LayerHistory& layer, int style) {
  Curve curve;
  curve.name = absl::StrCat("layer ", layer.layer);
  curve.style = style;
  for (int bucket = 0; bucket < layer.gates.num_buckets(); ++bucket) {
    const std::span<const double> bins = layer.gates.Sums(bucket);
    if (std::accumulate(bins.begin(), bins.end(), 0.0) == 0.0) continue;
    curve.points.push_back({layer.gates.MiddleOf(bucket), routing::GateQuantile(bins, 0.5),
                            routing::GateQuantile(bins, 0.1), routing::GateQuantile(bins, 0.9)});
  }
  return curve;
}

std::string GateChart(const RunHistory& run, const std::string& id) {
  const std::vector<const LayerHistory*> layers = LayersForGates(run);
  if (layers.empty()) return "";
  LineChart chart;
  chart.text = {id, "Gates of the token copies", "",
                "Median, in a band from the 10th to the 90th percentile of the copies, from bins "
                "of a quarter of a doubling. A narrow band near 1/K: the router hardly tells the "
                "experts apart."};
  chart.x_label = "step";
  chart.y_label = "gate";
  chart.include = 0.0;
  for (const LayerHistory* layer : layers) {
    chart.curves.push_back(GateCurve(*layer, static_cast<int>(chart.curves.size())));
    const std::vector<CurvePoint>& points = chart.curves.back().points;
    if (points.empty()) continue;
    absl::StrAppend(&chart.text.summary, chart.curves.back().name, ": median ",
                    FormatFigure(points.back().y), " at the end. ");
  }
  return DrawLineChart(chart);
}

std::string Ratio(double ratio) { return std::isnan(ratio) ? "" : absl::StrFormat("%.2f", ratio); }

// Each expert's load over an even share, in some columns of the picture.
std::vector<std::vector<std::string>> TableOf(const LoadGrid& load,
                                              const std::vector<double>& ratios) {
  constexpr int kColumns = 5;
  const int buckets = load.num_buckets();
  const int columns = std::min(kColumns, buckets);
  std::vector<std::vector<std::string>> table = {{"expert"}};
  for (int i = 0; i < columns; ++i) {
    const int bucket = columns < 2 ? 0 : i * (buckets - 1) / (columns - 1);
    table[0].push_back(absl::StrCat("step ", FormatFigure(load.MiddleOf(bucket))));
  }
  for (int e = 0; e < load.num_experts(); ++e) {
    std::vector<std::string>& row = table.emplace_back(1, absl::StrCat(e));
    for (int i = 0; i < columns; ++i) {
      const int bucket = columns < 2 ? 0 : i * (buckets - 1) / (columns - 1);
      row.push_back(Ratio(ratios[static_cast<size_t>(e * buckets + bucket)]));
    }
  }
  return table;
}

std::string LayerHeatMap(const LayerHistory& layer, const std::string& id) {
  const LoadGrid& load = layer.load;
  HeatMap map;
  map.text.id = id;
  map.text.title = absl::StrCat("Layer ", layer.layer, ": load by step and expert");
  map.text.summary = "Load of each expert over the steps, against an even share.";
  map.text.note = absl::StrFormat(
      "Single steps: most %.2f× (expert %d, step %d), least %.2f× (expert %d, step %d).%s",
      load.greatest().ratio, load.greatest().expert, load.greatest().step, load.least().ratio,
      load.least().expert, load.least().step,
      load.steps_per_bucket() > 1
          ? absl::StrCat(" A column is the mean of ", load.steps_per_bucket(), " steps.")
          : "");
  map.x_label = "step";
  map.y_label = "expert";
  map.rows = load.num_experts();
  map.columns = load.num_buckets();
  map.ratios = load.Ratios();
  map.x_low = static_cast<double>(load.first_step());
  map.x_high =
      static_cast<double>(load.first_step() + load.num_buckets() * load.steps_per_bucket());
  map.table = TableOf(load, map.ratios);
  return DrawHeatMap(map);
}

std::string LoadOfRun(const RunHistory& run, size_t number) {
  std::string in_view = LorenzChart(run, absl::StrCat("chart-lorenz-", number)) +
                        GateChart(run, absl::StrCat("chart-gates-", number));
  std::string folded;
  size_t shown = 0;
  for (const LayerHistory& layer : run.layers) {
    if (layer.load.empty()) continue;
    std::string& where = shown++ < kLayersInView ? in_view : folded;
    where += LayerHeatMap(layer, absl::StrCat("chart-load-", number, "-", layer.layer));
  }
  if (in_view.empty()) return Absent(kDense);
  std::string html = Grid(in_view);
  if (!folded.empty()) {
    absl::StrAppend(
        &html, Folded(absl::StrCat("The other ", shown - kLayersInView, " layers"), Grid(folded)));
  }
  return html;
}

std::vector<std::vector<std::string>> TableOf(const HeatMap& domains) {
  std::vector<std::vector<std::string>> table = {{"domain"}};
  const auto columns = static_cast<size_t>(domains.columns);
  for (size_t e = 0; e < columns; ++e) table[0].push_back(absl::StrCat("expert ", e));
  for (size_t row = 0; row < domains.row_names.size(); ++row) {
    std::vector<std::string>& cells = table.emplace_back(1, domains.row_names[row]);
    for (size_t e = 0; e < columns; ++e) cells.push_back(Ratio(domains.ratios[row * columns + e]));
  }
  return table;
}

// How much more than others a domain goes to an expert: its share of the domain's copies over its
// share of all copies.
std::string DomainHeatMap(const LayerRow& layer, const std::string& id) {
  HeatMap map;
  map.text.id = id;
  map.text.title = absl::StrCat("Layer ", layer.layer, ": domain by expert");
  map.text.summary = "How much more often than text on average each domain goes to each expert.";
  map.x_label = "expert";
  map.rows = static_cast<int>(layer.domain_counts.size());
  map.columns = static_cast<int>(layer.domain_counts[0].second.size());
  std::vector<double> of_expert(static_cast<size_t>(map.columns), 0.0);
  double all = 0.0;
  for (const auto& [domain, counts] : layer.domain_counts) {
    map.row_names.push_back(domain);
    for (size_t e = 0; e < of_expert.size() && e < counts.size(); ++e) {
      of_expert[e] += static_cast<double>(counts[e]);
      all += static_cast<double>(counts[e]);
    }
  }
  for (const auto& [domain, counts] : layer.domain_counts) {
    const double sum =
        static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
    for (size_t e = 0; e < of_expert.size(); ++e) {
      const bool known = e < counts.size() && sum > 0.0 && of_expert[e] > 0.0;
      map.ratios.push_back(known ? static_cast<double>(counts[e]) / sum / (of_expert[e] / all)
                                 : std::numeric_limits<double>::quiet_NaN());
    }
  }
  map.table = TableOf(map);
  return DrawHeatMap(map);
}

std::string DomainsOfRun(const RunHistory& run, size_t number) {
  for (auto point = run.validations.rbegin(); point != run.validations.rend(); ++point) {
    std::string in_view;
    std::string folded;
    size_t shown = 0;
    for (const LayerRow& layer : point->row.layers) {
      if (layer.domain_counts.empty() || layer.domain_counts[0].second.empty()) continue;
      std::string& where = shown++ < kLayersInView ? in_view : folded;
      where += DomainHeatMap(layer, absl::StrCat("chart-domains-", number, "-", layer.layer));
    }
    if (shown == 0) continue;
    std::string html = absl::StrCat(
        Paragraph(absl::StrCat("Validation at step ", point->step, ".")), Grid(in_view));
    if (!folded.empty()) {
      absl::StrAppend(&html, Folded(absl::StrCat("The other ", shown - kLayersInView, " layers"),
                                    Grid(folded)));
    }
    return html;
  }
  return Absent(
      "No validation recorded which domain went to which expert: the run has no validation yet "
      "(validation.sequences, data.domain.validation), no MoE layers, or an older version made "
      "it.");
}

// For each run, `draw` under the run's name.
std::string ForEachRun(const Runs& runs, std::string (*draw)(const RunHistory&, size_t)) {
  if (runs.size() == 1) return draw(runs[0], 0);
  std::string html;
  for (size_t i = 0; i < runs.size(); ++i) {
    absl::StrAppend(&html, Folded(runs[i].name, draw(runs[i], i), /*open=*/i == 0));
  }
  return html;
}

}  // namespace

Section BalanceSection(const Runs& runs) {
  std::string figures;
  for (const BalanceFigure& figure : kFigures)
    absl::StrAppend(&figures, BalanceChart(runs, figure));
  return {"balance", "Balance", figures.empty() ? Absent(kDense) : Grid(figures)};
}

Section LoadSection(const Runs& runs) {
  return {"load", "Load of the experts", absl::StrCat(HeatMapKey(), ForEachRun(runs, LoadOfRun))};
}

Section DomainSection(const Runs& runs) {
  return {"domains", "Domains and experts",
          absl::StrCat(Paragraph("An expert's share of a domain's token copies over its share of "
                                 "all: 2 means that the domain goes there twice as often as text "
                                 "on average does."),
                       HeatMapKey(), ForEachRun(runs, DomainsOfRun))};
}

}  // namespace equipoise::launcher
