#include "routing/lpr/similarity.h"

#include "absl/strings/str_cat.h"
#include "routing/option_problem.h"

namespace equipoise::routing {

absl::StatusOr<std::unique_ptr<Similarity>> MakeSimilarity(const RouterOptions& router,
                                                           const std::string& name,
                                                           int64_t dimensions,
                                                           ParameterRegistry& parameters) {
  if (name == "COSINE") return MakeCosineSimilarity();
  if (name == "CROSS_ATTENTION") {
    return MakeCrossAttentionSimilarity(router, dimensions, parameters);
  }
  if (name == "GAUSSIAN") return MakeGaussianSimilarity();
  if (name == "MAHALANOBIS") return MakeMahalanobisSimilarity(router, dimensions, parameters);
  if (name == "KL") return MakeKlSimilarity(router, dimensions, parameters);
  if (name == "WASSERSTEIN") return MakeWassersteinSimilarity(router, dimensions, parameters);
  if (name == "BHATTACHARYYA" || name == "HELLINGER") {
    return MakeOverlapSimilarity(router, dimensions, name == "HELLINGER", parameters);
  }
  return OptionError(router.kind,
                     {"similarity",
                      {},
                      absl::StrCat("is '", name,
                                   "', not COSINE or CROSS_ATTENTION or GAUSSIAN or MAHALANOBIS or "
                                   "KL or WASSERSTEIN or BHATTACHARYYA or HELLINGER")});
}

}  // namespace equipoise::routing
