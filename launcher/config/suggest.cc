#include "launcher/config/suggest.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace equipoise::launcher {

int EditDistance(absl::string_view a, absl::string_view b) {
  const std::string from = absl::AsciiStrToLower(a);
  const std::string to = absl::AsciiStrToLower(b);
  const size_t width = to.size() + 1;
  std::vector<int> table((from.size() + 1) * width);
  auto at = [&](size_t i, size_t j) -> int& { return table[i * width + j]; };
  for (size_t i = 0; i <= from.size(); ++i) at(i, 0) = static_cast<int>(i);
  for (size_t j = 0; j <= to.size(); ++j) at(0, j) = static_cast<int>(j);
  for (size_t i = 1; i <= from.size(); ++i) {
    for (size_t j = 1; j <= to.size(); ++j) {
      const int replace = at(i - 1, j - 1) + (from[i - 1] == to[j - 1] ? 0 : 1);
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, replace});
      const bool swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
      if (swapped) at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
    }
  }
  return at(from.size(), to.size());
}

std::string Nearest(absl::string_view word, const std::vector<std::string>& candidates) {
  // Words longer than any name are not worth a table of their length squared.
  constexpr size_t kLongestWord = 64;
  if (word.empty() || word.size() > kLongestWord) return "";
  const int tolerance = std::max(1, static_cast<int>(word.size()) / 3);
  std::string best;
  int best_distance = tolerance + 1;
  for (const std::string& candidate : candidates) {
    const int distance = EditDistance(word, candidate);
    if (distance >= best_distance) continue;
    best = candidate;
    best_distance = distance;
  }
  if (!best.empty() || word.size() < 3) return best;
  for (const std::string& candidate : candidates) {
    if (absl::StartsWithIgnoreCase(candidate, word)) return candidate;
  }
  return "";
}

std::string DidYouMean(absl::string_view word, const std::vector<std::string>& candidates) {
  const std::string nearest = Nearest(word, candidates);
  return nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?");
}

}  // namespace equipoise::launcher
