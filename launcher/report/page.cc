#include "launcher/report/page.h"

#include "absl/strings/str_cat.h"
#include "launcher/chart/markup.h"
#include "launcher/report/style.h"
#include "launcher/version.h"

namespace equipoise::launcher {

std::string MakePage(const std::string& title, const std::string& subtitle,
                     const std::vector<Section>& sections) {
  std::string links;
  std::string bodies;
  for (const Section& section : sections) {
    const std::string name = EscapeMarkup(section.title);
    absl::StrAppend(&links, "<li><a href=\"#", section.id, "\">", name, "</a></li>");
    absl::StrAppend(&bodies, "<section id=\"", section.id, "\"><h2>", name, "</h2>\n", section.html,
                    "</section>\n");
  }
  const std::string heading = EscapeMarkup(title);
  // The policy keeps the page from loading anything, whatever a run's texts may hold.
  return absl::StrCat(
      kPageStart, "style-src 'unsafe-inline'; img-src data:\">",
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>", heading,
      "</title><link rel=\"icon\" href=\"data:,\"><style>", kStyle, "</style></head>\n<body>",
      "<a class=\"skip\" href=\"#main\">To the charts</a><header><h1>", heading,
      "</h1><p class=\"sub\">", EscapeMarkup(subtitle),
      "</p></header>\n<nav aria-label=\"Sections\"><ul>", links,
      "</ul></nav>\n<main id=\"main\">\n", bodies, "</main><footer>Equipoise ", kVersion,
      ". Curves: the mean of the steps that share a point, in a band from the least to the "
      "greatest ",
      "of them. Point at a dot, bar or stroke for its text.</footer></body></html>\n");
}

std::string Grid(const std::string& figures) {
  return absl::StrCat("<div class=\"grid\">", figures, "</div>\n");
}

std::string Absent(const std::string& text) {
  return absl::StrCat("<p class=\"absent\">", EscapeMarkup(text), "</p>\n");
}

std::string Paragraph(const std::string& text) {
  return absl::StrCat("<p>", EscapeMarkup(text), "</p>\n");
}

std::string Folded(const std::string& summary, const std::string& html, bool open) {
  return absl::StrCat("<details", open ? " open" : "", "><summary>", EscapeMarkup(summary),
                      "</summary>\n", html, "</details>\n");
}

}  // namespace equipoise::launcher
