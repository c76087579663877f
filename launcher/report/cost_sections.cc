// Where the step's time and the exchange's bytes go.

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "launcher/chart/heat_map.h"
#include "launcher/chart/markup.h"
#include "launcher/chart/stacked_chart.h"
#include "launcher/report/curves.h"
#include "launcher/report/run_sections.h"

namespace equipoise::launcher {
namespace {

// Parts of the step that take less are not worth a curve.
constexpr double kLeastShare = 0.02;

std::string PhaseName(size_t phase) {
  const std::string_view name = Name(static_cast<Phase>(phase));
  return name == "gradient_sync" ? "gradient sync" : std::string(name);
}

std::string TimeBars(const Runs& runs) {
  StackedBars chart;
  chart.text = {"chart-time", "Where a step's time goes (rank 0, mean of all steps)", "", ""};
  chart.x_label = "seconds a step";
  for (size_t phase = 0; phase < kNumPhases; ++phase) chart.parts.push_back(PhaseName(phase));
  for (const RunHistory& run : runs) {
    if (run.time[0].empty()) continue;
    StackedBars::Bar& bar = chart.bars.emplace_back();
    bar.name = run.name;
    for (const Series& series : run.time) {
      bar.values.push_back(series.empty() ? 0.0 : std::max(series.mean(), 0.0));
    }
    const double total = std::accumulate(bar.values.begin(), bar.values.end(), 0.0);
    absl::StrAppend(&chart.text.summary, run.name, ": ", FormatFigure(total), " s. ");
  }
  return chart.bars.empty() ? "" : DrawStackedBars(chart);
}

std::string TimeCurves(const RunHistory& run) {
  LineChart chart;
  chart.text = {"chart-time-curves", "Seconds of a step by part (rank 0)", "", ""};
  chart.x_label = "step";
  chart.y_label = "seconds";
  chart.marks = MarksOf({run});
  chart.include = 0.0;
  double total = 0.0;
  for (const Series& series : run.time) total += series.empty() ? 0.0 : series.mean();
  for (size_t phase = 0; phase < kNumPhases; ++phase) {
    const Series& series = run.time[phase];
    if (series.empty() || series.mean() < kLeastShare * total) continue;
    chart.curves.push_back(MakeCurve(PhaseName(phase), series, static_cast<int>(phase)));
    chart.text.note = BucketNote(series);
  }
  return chart.curves.empty() ? "" : DrawLineChart(chart);
}

// `of`: what tells this run's charts from another's, for titles.
std::string NodeBytesFigure(const RunHistory& run, size_t number, const std::string& of) {
  const std::vector<double>& bytes = run.node_bytes;
  const auto nodes = static_cast<size_t>(std::lround(std::sqrt(bytes.size())));
  const double total = std::accumulate(bytes.begin(), bytes.end(), 0.0);
  if (nodes == 0 || nodes * nodes != bytes.size() || total <= 0.0) return "";
  HeatMap map;
  map.text = {absl::StrCat("chart-node-bytes-", number),
              absl::StrCat("Bytes from node (row) to node (column)", of),
              "Bytes between nodes against an even share.", ""};
  map.table = {{"from \\ to"}};
  for (size_t from = 0; from < nodes; ++from) {
    map.row_names.push_back(absl::StrCat("node ", from));
    map.table[0].push_back(absl::StrCat("node ", from));
    std::vector<std::string> row = {absl::StrCat("node ", from)};
    for (size_t to = 0; to < nodes; ++to) {
      const double value = bytes[from * nodes + to];
      map.ratios.push_back(value * static_cast<double>(bytes.size()) / total);
      row.push_back(absl::StrCat(FormatFigure(value), "B"));
      map.cells.push_back(row.back());
    }
    map.table.push_back(std::move(row));
  }
  map.text.note = absl::StrCat("All steps together: ", FormatFigure(total),
                               "B, of which the diagonal stays on its node. Colours: against an "
                               "even share of them.");
  map.x_label = "to node";
  map.rows = map.columns = static_cast<int>(nodes);
  return DrawHeatMap(map);
}

// The middle layer by measured time: all of them would hide how good the prediction is.
const LayerHistory* LayerToShow(const RunHistory& run) {
  std::vector<const LayerHistory*> layers;
  for (const LayerHistory& layer : run.layers) {
    if (!layer.measured_seconds.empty() && !layer.predicted_seconds.empty()) {
      layers.push_back(&layer);
    }
  }
  if (layers.empty()) return nullptr;
  std::sort(layers.begin(), layers.end(), [](const LayerHistory* a, const LayerHistory* b) {
    return a->measured_seconds.mean() < b->measured_seconds.mean();
  });
  return layers[layers.size() / 2];
}

std::string PredictionChart(const RunHistory& run, size_t number, const std::string& of) {
  LineChart chart;
  chart.text = {absl::StrCat("chart-exchange-", number),
                absl::StrCat("Seconds of the exchange: predicted and measured", of), "",
                "Predicted for the transfers alone from what links cost; measured with waiting for "
                "slower ranks. Exposed: waiting for transfers that no computing covered."};
  chart.x_label = "step";
  chart.y_label = "seconds";
  chart.include = 0.0;
  const LayerHistory* layer = LayerToShow(run);
  if (layer == nullptr) return "";
  const std::string name = absl::StrCat(", layer ", layer->layer);
  if (run.layers.size() > 1) {
    absl::StrAppend(&chart.text.note, " Drawn is layer ", layer->layer, " of ", run.layers.size(),
                    ", the middle one by measured time.");
  }
  chart.curves.push_back(MakeCurve("measured" + name, layer->measured_seconds, 0));
  chart.curves.push_back(MakeCurve("predicted" + name, layer->predicted_seconds, 1));
  chart.curves.back().dashed = true;
  chart.text.summary =
      absl::StrCat("Means: measured ", FormatFigure(layer->measured_seconds.mean()),
                   " s, predicted ", FormatFigure(layer->predicted_seconds.mean()), " s");
  if (!layer->exposed_seconds.empty()) {
    chart.curves.push_back(MakeCurve("exposed" + name, layer->exposed_seconds, 2));
    absl::StrAppend(&chart.text.summary, ", exposed ", FormatFigure(layer->exposed_seconds.mean()),
                    " s");
  }
  absl::StrAppend(&chart.text.summary, ".");
  return DrawLineChart(chart);
}

// Classes of links differ by orders of magnitude: each is drawn against its own mean.
Curve MakeLinkCurve(const LinkHistory& link, int style) {
  Curve curve = MakeCurve(link.name, link.seconds, style);
  for (CurvePoint& point : curve.points) {
    for (double* value : {&point.y, &point.low, &point.high}) *value /= link.seconds.mean();
  }
  return curve;
}

std::string LinkChart(const RunHistory& run, size_t number, const std::string& of) {
  LineChart chart;
  chart.text = {
      absl::StrCat("chart-links-", number),
      absl::StrCat("Links: seconds of a message, against the run's mean", of), "",
      "What half a mebibyte is thought to take over each class of link: measured when the "
      "run started, corrected by its exchanges since. The first steps learn; a rise later "
      "on is a link that got slower. At the end: "};
  chart.x_label = "step";
  chart.y_label = "times the mean";
  chart.include = 0.0;
  for (const LinkHistory& link : run.links) {
    if (link.seconds.empty() || link.seconds.mean() <= 0.0) continue;
    absl::StrAppend(&chart.text.note, chart.curves.empty() ? "" : ", ", link.name, " ",
                    FormatFigure(link.seconds.last() * 1e3), " ms");
    chart.curves.push_back(MakeLinkCurve(link, static_cast<int>(chart.curves.size())));
  }
  absl::StrAppend(&chart.text.note, ".");
  return chart.curves.empty() ? "" : DrawLineChart(chart);
}

std::string LocalityChart(const RunHistory& run, size_t number, const std::string& of) {
  LineChart chart;
  chart.text = {absl::StrCat("chart-locality-", number),
                absl::StrCat("Share of the copies that stay on their node", of), "", ""};
  chart.x_label = "step";
  chart.include = 0.0;
  for (const LayerHistory& layer : run.layers) {
    if (layer.node_share.empty() || chart.curves.size() >= kNumStyles) continue;
    chart.curves.push_back(MakeCurve(absl::StrCat("layer ", layer.layer), layer.node_share,
                                     static_cast<int>(chart.curves.size())));
  }
  return chart.curves.empty() ? "" : DrawLineChart(chart);
}

}  // namespace

Section ExchangeSection(const Runs& runs) {
  std::string figures;
  bool any_bytes = false;
  bool any_prediction = false;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string of = runs.size() == 1 ? "" : absl::StrCat(": ", runs[i].name);
    const std::string bytes = NodeBytesFigure(runs[i], i, of);
    const std::string prediction = PredictionChart(runs[i], i, of);
    any_bytes = any_bytes || !bytes.empty();
    any_prediction = any_prediction || !prediction.empty();
    absl::StrAppend(&figures, prediction, LinkChart(runs[i], i, of), LocalityChart(runs[i], i, of),
                    bytes);
  }
  std::string html = figures.empty() ? "" : Grid(figures);
  if (!any_bytes) {
    absl::StrAppend(&html, Absent("Bytes between nodes: not recorded. The run used one rank or one "
                                  "node, has no MoE layers, or was made by an older version."));
  }
  if (!any_prediction) {
    absl::StrAppend(&html,
                    Absent("Predicted against measured exchange time: not recorded. The run used "
                           "one rank, its links were not measured, or an older version made it."));
  }
  return {"exchange", "Exchange", html};
}

Section TimeSection(const Runs& runs) {
  std::string figures = absl::StrCat(
      TimeBars(runs), runs.size() == 1 ? TimeCurves(runs[0]) : "",
      DrawFigureOfRuns(
          runs, {"chart-speed", "Tokens a second", "tokens a second", "",
                 [](const RunHistory& run) -> const Series& { return run.tokens_per_second; }}),
      DrawFigureOfRuns(runs,
                       {"chart-mfu", "Model FLOP/s over the measured GEMM ceiling (MFU)", "MFU", "",
                        [](const RunHistory& run) -> const Series& { return run.mfu; }}));
  return {"time", "Time", figures.empty() ? Absent("No step has finished yet.") : Grid(figures)};
}

}  // namespace equipoise::launcher
