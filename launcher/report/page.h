#ifndef EQUIPOISE_LAUNCHER_REPORT_PAGE_H_
#define EQUIPOISE_LAUNCHER_REPORT_PAGE_H_

#include <string>
#include <vector>

namespace equipoise::launcher {

// A part of a report.
struct Section {
  std::string id;
  std::string title;
  std::string html;
};

// How every page begins, so that one can be told from other files.
inline constexpr char kPageStart[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ";

// A whole HTML page that loads nothing: style sheet, a list of links to the sections, the sections.
std::string MakePage(const std::string& title, const std::string& subtitle,
                     const std::vector<Section>& sections);

// Figures side by side where there is room.
std::string Grid(const std::string& figures);
// Why something is not shown.
std::string Absent(const std::string& text);
std::string Paragraph(const std::string& text);
// Folded away behind `summary`. `html` is markup, the summary is not.
std::string Folded(const std::string& summary, const std::string& html, bool open = false);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_PAGE_H_
