// What a score-based router's sums and state are called in checkpoints, and what telemetry reads in
// them.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "routing/score_router.h"

namespace equipoise::routing {

std::string ScoreRouter::ScoresMeaning() const {
  if (parts_.latent != nullptr) return parts_.similarity;
  return parts_.score == ScoreFunction::kSigmoid ? "SIGMOID" : "SOFTMAX";
}

std::vector<Segment> ScoreRouter::sum_segments() const {
  const std::string copies = absl::StrCat("of ", options_.top_k);
  std::vector<Segment> segments = {{"counts", layout_.num_experts, copies, true},
                                   {"dropped", 1, copies},
                                   {"entropies", 1, ScoresMeaning()}};
  for (const PlacedLoss& placed : losses_) {
    const RouterLoss& loss = *placed.loss;
    segments.push_back({loss.name(), loss.num_statistics(),
                        absl::StrCat(ScoresMeaning(), loss.meaning()),
                        loss.load_scope() == LossScope::kGlobalBatch});
  }
  segments.push_back({"angles", limit_.num_statistics()});
  for (Segment& segment : selector_.sum_segments()) segments.push_back(std::move(segment));
  return segments;
}

std::vector<Segment> ScoreRouter::state_segments() const {
  return selector_.state_segments(ScoresMeaning());
}

RouterFigures ScoreRouter::Figures(std::span<const double> sums) const {
  RouterFigures figures = limit_.Figures(LimitSums(sums));
  if (selector_.prefers_home()) figures.emplace_back("home_bias", selector_.MeanLead());
  return figures;
}

}  // namespace equipoise::routing
