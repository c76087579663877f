#include "launcher/sweep/text_table.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace equipoise::launcher {
namespace {

// Signs that "0.31 ±0.02", "1.2k" and "12/50" are made of, besides what follows the first digit.
bool LooksLikeNumber(const std::string& cell) {
  const size_t first = !cell.empty() && cell[0] == '-' ? 1 : 0;
  return first < cell.size() && absl::ascii_isdigit(cell[first]);
}

// Characters on the screen: bytes but those that continue one.
size_t Width(const std::string& cell) {
  return static_cast<size_t>(std::count_if(cell.begin(), cell.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u;
  }));
}

}  // namespace

std::string TextTable(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return "";
  std::vector<size_t> widths(rows[0].size(), 0);
  std::vector<bool> to_the_right(rows[0].size(), true);
  to_the_right[0] = false;  // names, though they may be made of digits
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t i = 0; i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], Width(rows[row][i]));
      if (row > 0 && !rows[row][i].empty() && !LooksLikeNumber(rows[row][i])) {
        to_the_right[i] = false;
      }
    }
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    std::string line;
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string space(widths[i] - Width(row[i]), ' ');
      absl::StrAppend(&line, i == 0 ? "" : "  ", to_the_right[i] ? space : "", row[i],
                      to_the_right[i] ? "" : space);
    }
    absl::StripTrailingAsciiWhitespace(&line);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace equipoise::launcher
