#include "launcher/chart/frame.h"

#include "absl/strings/str_cat.h"
#include "launcher/chart/markup.h"

namespace equipoise::launcher {
namespace {

std::string GridLine(double x1, double y1, double x2, double y2) {
  return absl::StrCat("<path class=\"rule\" d=\"M", Coordinate(x1), " ", Coordinate(y1), "L",
                      Coordinate(x2), " ", Coordinate(y2), "\"/>");
}

std::string Label(double x, double y, const char* place, const std::string& text) {
  return absl::StrCat("<text class=\"tick ", place, "\" x=\"", Coordinate(x), "\" y=\"",
                      Coordinate(y), "\">", EscapeMarkup(text), "</text>");
}

const char* MarkClass(LegendEntry::Mark mark) {
  switch (mark) {
    case LegendEntry::Mark::kLine:
      return "line";
    case LegendEntry::Mark::kDashed:
      return "dashed";
    case LegendEntry::Mark::kBox:
      return "box";
    case LegendEntry::Mark::kDot:
      return "dot";
  }
  return "";
}

}  // namespace

std::string DrawAxes(const PlotArea& area, const Scale& x, const Scale& y,
                     const std::string& x_label, const std::string& y_label) {
  std::string svg;
  for (const double tick : y.ticks()) {
    const double at = y(tick);
    absl::StrAppend(&svg, GridLine(area.x_start(), at, area.x_end(), at),
                    Label(area.left - 6, at + 4, "end", y.Label(tick)));
  }
  for (const double tick : x.ticks()) {
    const double at = x(tick);
    absl::StrAppend(&svg, GridLine(at, area.y_start(), at, area.y_start() + 4),
                    Label(at, area.y_start() + 17, "middle", x.Label(tick)));
  }
  const double middle = (area.x_start() + area.x_end()) / 2;
  absl::StrAppend(&svg, Label(middle, area.height - 8, "middle axis", x_label));
  const double height = (area.y_start() + area.y_end()) / 2;
  absl::StrAppend(&svg, "<text class=\"tick middle axis\" transform=\"translate(11 ",
                  Coordinate(height), ") rotate(-90)\">", EscapeMarkup(y_label), "</text>");
  return svg;
}

std::string Legend(const std::vector<LegendEntry>& entries) {
  if (entries.empty()) return "";
  std::string html = "<ul class=\"legend\">";
  for (const LegendEntry& entry : entries) {
    absl::StrAppend(&html, "<li><svg class=\"key\" viewBox=\"0 0 24 12\" aria-hidden=\"true\">");
    const int style = entry.style % kNumStyles;
    switch (entry.mark) {
      case LegendEntry::Mark::kBox:
        absl::StrAppend(&html, "<rect class=\"f", style,
                        "\" x=\"6\" y=\"0\" width=\"12\" height=\"12\"/>");
        break;
      case LegendEntry::Mark::kDot:
        absl::StrAppend(&html, "<circle class=\"f", style, "\" cx=\"12\" cy=\"6\" r=\"5\"/>");
        break;
      default:
        absl::StrAppend(&html, "<path class=\"s", style, " ", MarkClass(entry.mark),
                        "\" d=\"M0 6H24\"/>");
    }
    absl::StrAppend(&html, "</svg>", EscapeMarkup(entry.name), "</li>");
  }
  return absl::StrCat(html, "</ul>");
}

std::string FrameChart(const ChartText& text, const PlotArea& area, const std::string& drawing,
                       const std::string& legend, const std::string& table) {
  const std::string title = EscapeMarkup(text.title);
  std::string html = absl::StrCat("<figure id=\"", EscapeMarkup(text.id), "\"><figcaption>", title,
                                  "</figcaption>", legend);
  absl::StrAppend(&html, "<svg class=\"chart\" role=\"img\" viewBox=\"0 0 ", Coordinate(area.width),
                  " ", Coordinate(area.height), "\" aria-label=\"", title, ". ",
                  EscapeMarkup(text.summary), "\">", drawing, "</svg>");
  if (!text.note.empty())
    absl::StrAppend(&html, "<p class=\"note\">", EscapeMarkup(text.note), "</p>");
  return absl::StrCat(html, table, "</figure>\n");
}

std::string HtmlTable(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return "";
  // A long table can be scrolled by keyboard.
  std::string html = "<div class=\"scroll\" tabindex=\"0\"><table>";
  for (size_t row = 0; row < rows.size(); ++row) {
    const char* cell = row == 0 ? "th" : "td";
    absl::StrAppend(&html, "<tr>");
    for (const std::string& text : rows[row]) {
      absl::StrAppend(&html, "<", cell, row == 0 ? " scope=\"col\">" : ">", EscapeMarkup(text),
                      "</", cell, ">");
    }
    absl::StrAppend(&html, "</tr>");
  }
  return absl::StrCat(html, "</table></div>");
}

std::string FoldedTable(const std::vector<std::vector<std::string>>& rows) {
  if (rows.size() < 2) return "";
  return absl::StrCat("<details class=\"numbers\"><summary>Numbers</summary>", HtmlTable(rows),
                      "</details>");
}

}  // namespace equipoise::launcher
