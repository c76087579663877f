#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "launcher/chart/heat_map.h"
#include "launcher/chart/line_chart.h"
#include "launcher/chart/markup.h"
#include "launcher/chart/png.h"
#include "launcher/chart/scale.h"

namespace equipoise::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(MarkupTest, TextCannotLeaveItsElement) {
  EXPECT_EQ(EscapeMarkup("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
  EXPECT_EQ(EscapeMarkup("gr\xc3\xbc\xc3\x9f\xe2\x82\xac"), "gr\xc3\xbc\xc3\x9f\xe2\x82\xac");
  EXPECT_EQ(EscapeMarkup("\xff\xc3"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(EscapeMarkup(std::string("a\0\x1b\nb", 5)), "a\nb");
}

TEST(MarkupTest, FiguresAreShort) {
  EXPECT_EQ(FormatFigure(0.0), "0");
  EXPECT_EQ(FormatFigure(9999.0), "9999");
  EXPECT_EQ(FormatFigure(12345.0), "12.35k");
  EXPECT_EQ(FormatFigure(-2.5e6), "-2.5M");
  EXPECT_EQ(FormatFigure(1.5e13), "15T");
  EXPECT_EQ(FormatFigure(1.5e15), "1.5e+15");
  EXPECT_EQ(FormatFigure(kNaN), "nan");
  EXPECT_EQ(Coordinate(-0.04), "0");
  EXPECT_EQ(Coordinate(12.345), "12.3");
}

Range RangeOf(std::vector<double> values) {
  Range range;
  for (const double value : values) range.Include(value);
  return range;
}

TEST(ScaleTest, LinearTicksAreRoundAndEncloseTheValues) {
  const Scale scale = Scale::Linear(RangeOf({0.013, 0.87, kNaN}), 100.0, 0.0);
  EXPECT_THAT(scale.ticks(),
              ElementsAre(0.0, ::testing::DoubleNear(0.2, 1e-12), ::testing::DoubleNear(0.4, 1e-12),
                          ::testing::DoubleNear(0.6, 1e-12), ::testing::DoubleNear(0.8, 1e-12),
                          ::testing::DoubleNear(1.0, 1e-12)));
  EXPECT_EQ(scale(0.0), 100.0);
  EXPECT_EQ(scale(1.0), 0.0);
  EXPECT_EQ(scale.Label(0.2), "0.2");
}

TEST(ScaleTest, EmptyAndSingleRangesHaveAScale) {
  for (const std::vector<double>& values :
       {std::vector<double>{}, {0.0}, {5.0}, {-3.0, -3.0}, {1e-300}, {1e300}}) {
    const Scale scale = Scale::Linear(RangeOf(values), 0.0, 100.0);
    EXPECT_GE(scale.ticks().size(), 2U);
    EXPECT_LE(scale.ticks().size(), 12U);
    for (const double value : values) EXPECT_TRUE(std::isfinite(scale(value)));
  }
}

TEST(ScaleTest, LogarithmicTicksArePowersOfTen) {
  const Scale scale = Scale::Logarithmic(RangeOf({0.5, 20000.0}), 0.0, 100.0);
  EXPECT_THAT(scale.ticks(), ElementsAre(1.0, 10.0, 100.0, 1000.0, 10000.0));
  EXPECT_NEAR(scale(100.0) - scale(10.0), scale(1000.0) - scale(100.0), 1e-9);
}

uint32_t BigEndian(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

TEST(PngTest, ChunksAreThoseOfTheStandard) {
  const std::vector<uint8_t> pixels = {0, 1, 2, 2, 1, 0};
  const std::string png = EncodePng(pixels, 3, {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}});
  ASSERT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  std::vector<std::string> names;
  std::string compressed;
  for (size_t at = 8; at < png.size();) {
    const uint32_t size = BigEndian(png, at);
    const std::string checked = png.substr(at + 4, 4 + size);
    EXPECT_EQ(BigEndian(png, at + 8 + size),
              crc32(0, reinterpret_cast<const Bytef*>(checked.data()),
                    static_cast<uInt>(checked.size())));
    names.push_back(checked.substr(0, 4));
    if (names.back() == "IDAT") compressed = checked.substr(4);
    at += 12 + size;
  }
  EXPECT_THAT(names, ElementsAre("IHDR", "PLTE", "IDAT", "IEND"));
  EXPECT_EQ(BigEndian(png, 16), 3U);  // wide
  EXPECT_EQ(BigEndian(png, 20), 2U);  // high
  std::string rows(100, '\0');
  uLongf size = rows.size();
  ASSERT_EQ(uncompress(reinterpret_cast<Bytef*>(rows.data()), &size,
                       reinterpret_cast<const Bytef*>(compressed.data()), compressed.size()),
            Z_OK);
  EXPECT_EQ(rows.substr(0, size), std::string("\0\0\1\2\0\2\1\0", 8));
}

LineChart ChartOf(std::vector<CurvePoint> points) {
  LineChart chart;
  chart.text = {"id", "a <title>", "", ""};
  chart.curves.push_back({"curve & co", std::move(points), 0, false, false});
  return chart;
}

TEST(LineChartTest, NamesAreEscapedAndNothingIsNaN) {
  const std::string html =
      DrawLineChart(ChartOf({{1, 2, 1, 3}, {2, kNaN, kNaN, kNaN}, {3, 4, 4, 4}}));
  EXPECT_THAT(html, HasSubstr("a &lt;title&gt;"));
  EXPECT_THAT(html, HasSubstr("curve &amp; co"));
  EXPECT_THAT(html, Not(HasSubstr("nan\"")));
  EXPECT_THAT(html, HasSubstr("class=\"b0\"")) << "the band";
  // Two pieces of the curve, on either side of the gap.
  const size_t curve = html.find("class=\"s0\" d=");
  ASSERT_NE(curve, std::string::npos);
  const std::string path = html.substr(curve, html.find("/>", curve) - curve);
  EXPECT_EQ(std::count(path.begin(), path.end(), 'M'), 2);
}

TEST(LineChartTest, APointBesideAGapHasADot) {
  const auto dots = [](const std::vector<double>& values) {
    LineChart chart;
    Curve& curve = chart.curves.emplace_back();
    curve.name = "loss";
    for (size_t i = 0; i < values.size(); ++i) {
      curve.points.push_back({static_cast<double>(i), values[i], values[i] - 1, values[i] + 1});
    }
    const std::string svg = DrawLineChart(chart);
    EXPECT_THAT(svg.substr(0, svg.find("<details")), Not(HasSubstr("nan")));
    std::string places;
    for (size_t at = svg.find(" at "); at != std::string::npos; at = svg.find(" at ", at + 1)) {
      places += svg[at + 4];
    }
    return places;
  };
  EXPECT_EQ(dots({2, 3, 4}), "");
  EXPECT_EQ(dots({2, kNaN, 4, 5}), "0");
  EXPECT_EQ(dots({2, 3, kNaN, 4, kNaN}), "3");
  EXPECT_EQ(dots({7, kNaN, kNaN}), "0");
  EXPECT_EQ(dots({7}), "0");
}

TEST(LineChartTest, AnySizeIsDrawn) {
  for (const size_t size : {0U, 1U, 2U}) {
    std::vector<CurvePoint> points(size, {1, 5, 5, 5});
    EXPECT_THAT(DrawLineChart(ChartOf(points)), HasSubstr("</svg>"));
  }
  EXPECT_THAT(DrawLineChart(LineChart()), HasSubstr("</svg>"));
}

// The cells of the rows of a chart's table, without its header.
std::vector<std::vector<std::string>> TableRowsOf(const LineChart& chart) {
  const std::string html = DrawLineChart(chart);
  std::vector<std::vector<std::string>> rows;
  for (size_t at = html.find("<tr><td>"); at != std::string::npos;
       at = html.find("<tr><td>", at + 1)) {
    const size_t end = html.find("</tr>", at);
    std::vector<std::string>& row = rows.emplace_back();
    for (size_t cell = html.find("<td>", at); cell < end; cell = html.find("<td>", cell + 1)) {
      row.push_back(html.substr(cell + 4, html.find("</td>", cell) - cell - 4));
    }
  }
  return rows;
}

TEST(LineChartTest, NumbersAreOnlyWhereACurveHasAValue) {
  LineChart chart;
  chart.curves.resize(5);
  for (int step = 1; step <= 12; ++step) {
    const double y = step;
    chart.curves[0].points.push_back({y, y, y, y});
    if (step <= 6) chart.curves[1].points.push_back({y, y, y, y});  // ends early
    if (step >= 5) chart.curves[2].points.push_back({y, y, y, y});  // begins late
    const double diverged = step <= 3 ? y : kNaN;
    chart.curves[3].points.push_back({y, diverged, diverged, diverged});
    if (step <= 4 || step > 8) chart.curves[4].points.push_back({y, y, y, y});  // lost steps
  }
  const std::vector<std::vector<std::string>> rows = TableRowsOf(chart);
  ASSERT_EQ(rows.size(), 12U);
  for (int step = 1; step <= 12; ++step) {
    const std::string value = std::to_string(step);
    EXPECT_THAT(rows[static_cast<size_t>(step - 1)],
                ElementsAre(value, value, step <= 6 ? value : "", step >= 5 ? value : "",
                            step <= 3 ? value : "", step <= 4 || step > 8 ? value : ""));
  }
}

TEST(LineChartTest, ARareFigureIsTheNearestOneUntilItsLast) {
  LineChart chart;
  chart.curves.resize(3);
  for (int step = 1; step <= 111; ++step) {
    const double y = step;
    chart.curves[0].points.push_back({y, y, y, y});
    if (step % 20 == 0 && step <= 60) chart.curves[1].points.push_back({y, y, y, y});
  }
  chart.curves[2].points.push_back({1, 7, 7, 7});  // a single value
  std::vector<std::string> rare;
  std::vector<std::string> single;
  for (const std::vector<std::string>& row : TableRowsOf(chart)) {
    rare.push_back(row[2]);
    single.push_back(row[3]);
  }
  // The rows are those of steps 1, 11, 21, ..., 111.
  EXPECT_THAT(rare, ElementsAre("", "", "20", "40", "40", "60", "", "", "", "", "", ""));
  EXPECT_THAT(single, ElementsAre("7", "", "", "", "", "", "", "", "", "", "", ""));
}

TEST(HeatMapTest, HasAPictureForEachColouringAndNumbersWhereThereIsRoom) {
  HeatMap map;
  map.text = {"id", "title", "", ""};
  map.rows = 2;
  map.columns = 2;
  map.ratios = {0.0, 1.0, kNaN, 99.0};
  map.row_names = {"one", "two"};
  const std::string small = DrawHeatMap(map);
  EXPECT_THAT(small, HasSubstr("class=\"on-light\""));
  EXPECT_THAT(small, HasSubstr("class=\"on-dark\""));
  EXPECT_THAT(small, HasSubstr(">99.00<"));
  EXPECT_THAT(small, Not(HasSubstr(">nan<")));
  map.columns = 200;
  map.ratios.assign(400, 1.0);
  EXPECT_THAT(DrawHeatMap(map), Not(HasSubstr(">1.00<")));
}

}  // namespace
}  // namespace equipoise::launcher
