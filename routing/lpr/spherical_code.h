#ifndef EQUIPOISE_ROUTING_LPR_SPHERICAL_CODE_H_
#define EQUIPOISE_ROUTING_LPR_SPHERICAL_CODE_H_

#include <cstdint>
#include <vector>

namespace equipoise::routing {

// `count` unit vectors in `dimensions` dimensions, row by row, far from one another: from random
// directions, steps against an exponential repulsion, weight exp(beta * cosine), beta rising from 8
// to 40, so that first the crowd spreads and then the nearest neighbours do. (Orthogonality in the
// mean of squares, the usual regulariser, leaves neighbours where they are; see docs/routing.md.)
// A function of its arguments alone: the same in every layer, on every rank and after every
// restart, so no checkpoint holds it. O(count^2 * dimensions) a step, at most 400 steps.
// REQUIRES: count >= 1, dimensions >= 1.
std::vector<double> SphericalCode(int64_t count, int64_t dimensions);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_SPHERICAL_CODE_H_
