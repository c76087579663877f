// Router "hash": a token's experts are a fixed random function of its vocabulary id (Roller et al.,
// "Hash Layers for Large Sparse Models", 2021, random hash): K different experts for each id, drawn
// from (seed, layer, id), every gate 1/K. No parameters, no gradient, no settings. Balance is that
// of the text: an expert that drew a frequent id is busy.
//
// It has no scores, so auxiliary losses cannot be asked of it.

#include <memory>

#include "core/base/status_macros.h"
#include "routing/hash_router.h"

namespace equipoise::routing {
namespace {

class TokenKeys final : public HashKeys {
 public:
  HashKey Of(const RouterInput& input, int64_t row) const override {
    const int32_t token = input.token_ids.cpu<int32_t>()[static_cast<size_t>(row)];
    return {.token = static_cast<uint32_t>(token)};
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> MakeHashRouter(const RouterOptions& options,
                                                       ParameterRegistry& parameters) {
  (void)parameters;
  EQ_RETURN_IF_ERROR(CheckHashOptions(options, 1));
  return std::make_unique<HashRouter>(options, 1, std::make_unique<TokenKeys>());
}

}  // namespace equipoise::routing
