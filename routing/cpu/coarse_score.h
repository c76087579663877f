#ifndef EQUIPOISE_ROUTING_CPU_COARSE_SCORE_H_
#define EQUIPOISE_ROUTING_CPU_COARSE_SCORE_H_

#include <cstdint>
#include <cstring>
#include <limits>

namespace equipoise::cpu {

// What experts compare tokens by: the score rounded to 16 significant bits (3e-5 of its size), NaN
// below everything. Text repeats itself: tokens that are alike to the last decimal have scores that
// differ by rounding alone, and rounding depends on how many rows a matrix product had. Comparing
// coarsely, such ties are ties, and go to the earlier token on every layout.
template <typename T>
float CoarseScore(T score) {
  if (score != score) return -std::numeric_limits<float>::infinity();
  const float value = static_cast<float>(score);
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7F800000u) == 0x7F800000u) return value;  // infinite
  bits = (bits + 0x80u) & ~0xFFu;
  float coarse = 0.0f;
  std::memcpy(&coarse, &bits, sizeof(coarse));
  return coarse;
}

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_ROUTING_CPU_COARSE_SCORE_H_
