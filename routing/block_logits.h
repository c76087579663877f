#ifndef EQUIPOISE_ROUTING_BLOCK_LOGITS_H_
#define EQUIPOISE_ROUTING_BLOCK_LOGITS_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "routing/logits.h"
#include "routing/router.h"

namespace equipoise::routing {

// Logits without parameters (GrAP; LocMoE, arXiv 2401.13920, section 3): expert e reads the e-th
// block of H / E consecutive features. The blocks' indicator vectors are orthogonal and of one
// length by construction. O(H) additions a token.
enum class BlockLogit : uint8_t {
  kReluMean,  // max(0, mean of the block)
  kCosine,    // of x and the block's indicator: sum of the block / (|x| sqrt(H / E)); 0 for x = 0
};

// InvalidArgument unless E divides H.
absl::StatusOr<std::unique_ptr<LogitSource>> MakeBlockLogits(const RouterOptions& options,
                                                             BlockLogit rule);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_BLOCK_LOGITS_H_
