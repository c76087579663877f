#include "routing/lpr/latent_noise.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "core/base/rng.h"
#include "routing/cpu/normal_draws.h"

namespace equipoise::routing {
namespace {

// 32 random bits a draw are plenty for a target that only its sign is taken of.
class PhiloxNoise final : public LatentNoise {
 public:
  explicit PhiloxNoise(const RouterOptions& router)
      : draws_(StreamKey(router.seed, absl::StrCat("router.lpr.", router.layer))) {}

  void Draw(int64_t step, int64_t token, std::span<double> noise) const override {
    const uint64_t counters = (noise.size() + 3) / 4;
    std::array<uint32_t, kChunk> words;
    std::array<float, kChunk> draws;
    for (size_t begin = 0; begin < noise.size(); begin += kChunk) {
      const size_t count = std::min(kChunk, noise.size() - begin);
      for (size_t d = 0; d < count; d += 4) {
        const auto four = draws_.Words(static_cast<uint64_t>(token) * counters + (begin + d) / 4,
                                       static_cast<uint64_t>(step));
        std::copy(four.begin(), four.end(), words.begin() + static_cast<std::ptrdiff_t>(d));
      }
      cpu::NormalDraws(words.data(), static_cast<int64_t>(count + 1) / 2, draws.data());
      std::copy_n(draws.begin(), count, noise.begin() + static_cast<std::ptrdiff_t>(begin));
    }
  }

 private:
  static constexpr size_t kChunk = 32;

  const Philox draws_;
};

}  // namespace

std::unique_ptr<LatentNoise> MakeLatentNoise(const RouterOptions& router) {
  return std::make_unique<PhiloxNoise>(router);
}

}  // namespace equipoise::routing
