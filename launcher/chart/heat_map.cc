#include "launcher/chart/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/check.h"
#include "launcher/chart/markup.h"
#include "launcher/chart/png.h"

namespace equipoise::launcher {
namespace {

constexpr int kLevels = 255;      // 0 .. 254, an even share in the middle
constexpr uint8_t kEmpty = 255;   // no value
constexpr double kOctaves = 2.0;  // the last colours stand for 2^-2 and 2^2
constexpr double kMaxRowHeight = 26.0;
constexpr double kMaxHeight = 208.0;
constexpr int kMaxColumnsWithText = 12;

struct Stop {
  double position;
  Colour colour;
};
// ColorBrewer's RdBu (C. Brewer), turned so that blue is low, and the like around a dark middle.
constexpr std::array<Stop, 7> kLight = {{{0.0, {5, 48, 97}},
                                         {0.17, {33, 102, 172}},
                                         {0.33, {146, 197, 222}},
                                         {0.5, {247, 247, 247}},
                                         {0.67, {244, 165, 130}},
                                         {0.83, {178, 24, 43}},
                                         {1.0, {103, 0, 31}}}};
constexpr std::array<Stop, 7> kDark = {{{0.0, {140, 210, 255}},
                                        {0.17, {75, 150, 235}},
                                        {0.33, {35, 85, 150}},
                                        {0.5, {32, 34, 40}},
                                        {0.67, {150, 60, 25}},
                                        {0.83, {235, 120, 60}},
                                        {1.0, {255, 205, 120}}}};

Colour Interpolate(std::span<const Stop> stops, double position) {
  size_t i = 1;
  while (i + 1 < stops.size() && stops[i].position < position) ++i;
  const Stop& a = stops[i - 1];
  const Stop& b = stops[i];
  const double share = (position - a.position) / (b.position - a.position);
  const auto mix = [&](uint8_t from, uint8_t to) {
    return static_cast<uint8_t>(std::lround(from + share * (to - from)));
  };
  return {mix(a.colour.red, b.colour.red), mix(a.colour.green, b.colour.green),
          mix(a.colour.blue, b.colour.blue)};
}

std::vector<Colour> MakePalette(std::span<const Stop> stops, Colour empty) {
  std::vector<Colour> palette;
  for (int level = 0; level < kLevels; ++level) {
    palette.push_back(Interpolate(stops, static_cast<double>(level) / (kLevels - 1)));
  }
  palette.push_back(empty);
  return palette;
}

uint8_t LevelOf(double ratio) {
  if (std::isnan(ratio)) return kEmpty;
  if (ratio <= 0.0) return 0;
  const double octaves = std::clamp(std::log2(ratio), -kOctaves, kOctaves);
  return static_cast<uint8_t>(std::lround((octaves + kOctaves) / (2 * kOctaves) * (kLevels - 1)));
}

// The picture at a place of the drawing, in both colourings.
std::string Pictures(std::span<const uint8_t> levels, int columns, double x, double y, double width,
                     double height) {
  static const std::vector<Colour> light = MakePalette(kLight, {190, 190, 190});
  static const std::vector<Colour> dark = MakePalette(kDark, {90, 90, 90});
  std::string svg;
  for (const bool is_dark : {false, true}) {
    absl::StrAppend(&svg, "<image class=\"", is_dark ? "on-dark" : "on-light",
                    "\" preserveAspectRatio=\"none\" x=\"", Coordinate(x), "\" y=\"", Coordinate(y),
                    "\" width=\"", Coordinate(width), "\" height=\"", Coordinate(height),
                    "\" href=\"", PngDataUri(EncodePng(levels, columns, is_dark ? dark : light)),
                    "\"/>");
  }
  return svg;
}

class Map {
 public:
  explicit Map(const HeatMap& map) : map_(map) {
    const double row_height = std::clamp(kMaxHeight / map.rows, 0.5, kMaxRowHeight);
    if (!map.row_names.empty()) area_.left = 96;
    area_.height = std::max(60.0, row_height * map.rows) + area_.top + area_.bottom;
  }

  const PlotArea& area() const { return area_; }

  std::string Draw() const {
    std::vector<uint8_t> levels;
    for (const double ratio : map_.ratios) levels.push_back(LevelOf(ratio));
    std::string svg = Axes();
    absl::StrAppend(&svg, Pictures(levels, map_.columns, area_.x_start(), area_.y_end(),
                                   area_.x_end() - area_.x_start(), Height()));
    if (map_.columns <= kMaxColumnsWithText && RowHeight() >= 14.0) absl::StrAppend(&svg, Texts());
    return svg;
  }

 private:
  double Height() const { return area_.y_start() - area_.y_end(); }
  double RowHeight() const { return Height() / map_.rows; }
  double ColumnWidth() const { return (area_.x_end() - area_.x_start()) / map_.columns; }

  std::string Axes() const {
    // A number stands at the middle of its row or column.
    const Scale y = Scale::Exact(-0.5, map_.rows - 0.5, area_.y_end(), area_.y_start());
    const bool categories = map_.x_low >= map_.x_high;
    const Scale x = categories
                        ? Scale::Exact(-0.5, map_.columns - 0.5, area_.x_start(), area_.x_end())
                        : Scale::Exact(map_.x_low, map_.x_high, area_.x_start(), area_.x_end());
    std::string svg;
    if (map_.row_names.empty()) {
      for (const double tick : y.ticks()) {
        if (tick == std::floor(tick)) absl::StrAppend(&svg, RowLabel(y(tick), Whole(tick)));
      }
    }
    for (size_t i = 0; i < map_.row_names.size(); ++i) {
      absl::StrAppend(&svg, RowLabel(y(static_cast<double>(i)), map_.row_names[i]));
    }
    for (const double tick : x.ticks()) {
      if (categories && tick != std::floor(tick)) continue;
      absl::StrAppend(&svg, Text("tick middle", x(tick), area_.y_start() + 17,
                                 categories ? Whole(tick) : x.Label(tick)));
    }
    const double middle = (area_.x_start() + area_.x_end()) / 2;
    absl::StrAppend(&svg, Text("tick middle axis", middle, area_.height - 8, map_.x_label));
    absl::StrAppend(&svg, "<text class=\"tick middle axis\" transform=\"translate(11 ",
                    Coordinate(area_.y_end() + Height() / 2), ") rotate(-90)\">",
                    EscapeMarkup(map_.y_label), "</text>");
    return svg;
  }

  static std::string Whole(double tick) { return absl::StrCat(std::llround(tick)); }
  static std::string Text(const char* kind, double x, double y, const std::string& text) {
    return absl::StrCat("<text class=\"", kind, "\" x=\"", Coordinate(x), "\" y=\"", Coordinate(y),
                        "\">", EscapeMarkup(text), "</text>");
  }
  std::string RowLabel(double y, const std::string& text) const {
    return Text("tick end", area_.left - 6, y + 4, text);
  }

  std::string Texts() const {
    std::string svg;
    for (int row = 0; row < map_.rows; ++row) {
      for (int column = 0; column < map_.columns; ++column) {
        const auto cell = static_cast<size_t>(row * map_.columns + column);
        const double ratio = map_.ratios[cell];
        if (std::isnan(ratio)) continue;
        // Strong colours are dark on the light page and light on the dark one.
        const bool strong = ratio < 0.5 || ratio > 2.0;
        absl::StrAppend(
            &svg,
            Text(strong ? "cell strong" : "cell", area_.x_start() + (column + 0.5) * ColumnWidth(),
                 area_.y_end() + (row + 0.5) * RowHeight() + 4,
                 map_.cells.empty() ? absl::StrFormat("%.2f", ratio) : map_.cells[cell]));
      }
    }
    return svg;
  }

  const HeatMap& map_;
  PlotArea area_;
};

}  // namespace

std::string DrawHeatMap(const HeatMap& map) {
  EQ_CHECK_GT(map.rows, 0);
  EQ_CHECK_GT(map.columns, 0);
  EQ_CHECK_EQ(map.ratios.size(), static_cast<size_t>(map.rows) * static_cast<size_t>(map.columns));
  EQ_CHECK(map.cells.empty() || map.cells.size() == map.ratios.size());
  const Map drawing(map);
  return FrameChart(map.text, drawing.area(), drawing.Draw(), "", FoldedTable(map.table));
}

std::string HeatMapKey() {
  std::vector<uint8_t> levels;
  for (int level = 0; level < kLevels; ++level) levels.push_back(static_cast<uint8_t>(level));
  std::string svg = Pictures(levels, kLevels, 10, 2, 240, 14);
  const char* labels[] = {"≤ ¼", "½", "even", "2×", "≥ 4×"};
  for (int i = 0; i < 5; ++i) {
    const char* place = i == 0 ? "start" : i == 4 ? "end" : "middle";
    absl::StrAppend(&svg, "<text class=\"tick ", place, "\" x=\"", 10 + 60 * i, "\" y=\"30\">",
                    labels[i], "</text>");
  }
  return absl::StrCat("<svg class=\"colours\" role=\"img\" viewBox=\"0 0 260 36\" aria-label=\"",
                      "Colours: blue is less than an even share, red is more\">", svg, "</svg>\n");
}

}  // namespace equipoise::launcher
