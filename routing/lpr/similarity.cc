#include "routing/lpr/similarity.h"

#include "absl/strings/str_cat.h"

namespace equipoise::routing {

absl::StatusOr<std::unique_ptr<Similarity>> MakeSimilarity(const RouterOptions& router,
                                                           const std::string& name,
                                                           int64_t dimensions,
                                                           ParameterRegistry& parameters) {
  (void)dimensions, (void)parameters;
  if (name == "COSINE") return MakeCosineSimilarity();
  return absl::InvalidArgumentError(absl::StrCat("router ", router.kind, ": similarity is '", name,
                                                 "', not COSINE"));
}

}  // namespace equipoise::routing
