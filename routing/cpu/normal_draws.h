#ifndef EQUIPOISE_ROUTING_CPU_NORMAL_DRAWS_H_
#define EQUIPOISE_ROUTING_CPU_NORMAL_DRAWS_H_

#include <cstdint>

namespace equipoise::cpu {

// Standard normal draws from random words (Box and Muller): of words [2 n] the pair 2i, 2i + 1
// gives draws 2i and 2i + 1. In float, with the same operations on every machine; nothing is beyond
// 6.8 standard deviations.
void NormalDraws(const uint32_t* words, int64_t pairs, float* draws);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_ROUTING_CPU_NORMAL_DRAWS_H_
