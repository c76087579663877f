#include "routing/lpr/latent_noise.h"

#include <array>
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"
#include "core/base/rng.h"

namespace equipoise::routing {
namespace {

// Two normals of each half of a counter's words (Box and Muller): 32 random bits are plenty for
// a target that only its sign is taken of.
class PhiloxNoise final : public LatentNoise {
 public:
  explicit PhiloxNoise(const RouterOptions& router)
      : draws_(StreamKey(router.seed, absl::StrCat("router.lpr.", router.layer))) {}

  void Draw(int64_t step, int64_t token, std::span<double> noise) const override {
    const uint64_t counters = (noise.size() + 3) / 4;
    for (size_t d = 0; d < noise.size(); d += 4) {
      const auto words = draws_.Words(static_cast<uint64_t>(token) * counters + d / 4,
                                      static_cast<uint64_t>(step));
      for (size_t i = 0; i < 4 && d + i < noise.size(); i += 2) {
        // In (0, 1): the logarithm is finite.
        const double uniform = (static_cast<double>(words[i]) + 0.5) * 0x1.0p-32;
        const double radius = std::sqrt(-2.0 * std::log(uniform));
        const double angle = 2.0 * std::numbers::pi * static_cast<double>(words[i + 1]) * 0x1.0p-32;
        noise[d + i] = radius * std::cos(angle);
        if (d + i + 1 < noise.size()) noise[d + i + 1] = radius * std::sin(angle);
      }
    }
  }

 private:
  const Philox draws_;
};

}  // namespace

std::unique_ptr<LatentNoise> MakeLatentNoise(const RouterOptions& router) {
  return std::make_unique<PhiloxNoise>(router);
}

}  // namespace equipoise::routing
