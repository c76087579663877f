#ifndef EQUIPOISE_LAUNCHER_CONFIG_SUGGEST_H_
#define EQUIPOISE_LAUNCHER_CONFIG_SUGGEST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace equipoise::launcher {

// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`, case ignored: the
// "optimal string alignment" distance.
int EditDistance(absl::string_view a, absl::string_view b);

// The candidate that `word` was probably meant to be: at most a third of its letters (at least one)
// away, or one that starts with it; the first of equals. "" when none is near.
std::string Nearest(absl::string_view word, const std::vector<std::string>& candidates);

// "; did you mean X?", or "" when no candidate is near.
std::string DidYouMean(absl::string_view word, const std::vector<std::string>& candidates);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_SUGGEST_H_
