#ifndef EQUIPOISE_CORE_TELEMETRY_PHASE_H_
#define EQUIPOISE_CORE_TELEMETRY_PHASE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace equipoise {

// What a training step's time goes to. Forward and backward of a part count together.
enum class Phase : uint8_t {
  kData,          // reading and cutting sequences
  kAttention,     // attention blocks
  kRoute,         // router, its losses and the dispatch plan
  kDispatch,      // tokens to their experts
  kExperts,       // expert products
  kCombine,       // results back and summed
  kGradientSync,  // what of the gradients' reduction is waited for
  kOptimizer,
  kOther,  // everything else: embedding, norms, head, loss, telemetry
};
inline constexpr int kNumPhases = 9;

// As metrics.jsonl spells them.
constexpr std::string_view Name(Phase phase) {
  constexpr std::array<std::string_view, kNumPhases> kNames = {
      "data",    "attention",     "route",     "dispatch", "experts",
      "combine", "gradient_sync", "optimizer", "other"};
  return kNames[static_cast<size_t>(phase)];
}

// Seconds of each phase, indexed by Phase.
class PhaseSeconds {
 public:
  double& operator[](Phase phase) { return seconds_[static_cast<size_t>(phase)]; }
  double operator[](Phase phase) const { return seconds_[static_cast<size_t>(phase)]; }
  double total() const {
    double sum = 0.0;
    for (const double seconds : seconds_) sum += seconds;
    return sum;
  }

 private:
  std::array<double, kNumPhases> seconds_ = {};
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_PHASE_H_
