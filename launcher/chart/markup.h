#ifndef EQUIPOISE_LAUNCHER_CHART_MARKUP_H_
#define EQUIPOISE_LAUNCHER_CHART_MARKUP_H_

#include <string>
#include <string_view>

namespace equipoise::launcher {

// `text` fit for the inside of an HTML or SVG element, and for an attribute in double quotes. Bytes
// that are no UTF-8 become U+FFFD, control characters but tab and line end vanish.
std::string EscapeMarkup(std::string_view text);

// A number as short as people read it: four significant digits, k, M, G from ten thousand on.
std::string FormatFigure(double value);

// A coordinate of a drawing: one decimal, "-0" and trailing zeros avoided.
std::string Coordinate(double value);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CHART_MARKUP_H_
