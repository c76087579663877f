#ifndef EQUIPOISE_TESTS_PARALLEL_TINY_MODEL_H_
#define EQUIPOISE_TESTS_PARALLEL_TINY_MODEL_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "parallel/train_options.h"
#include "parallel/train_step.h"

namespace equipoise::testing_support {

// A model that has every feature and takes milliseconds: grouped-query attention with q/k norms, a
// dense layer, two MoE layers of 8 experts with a shared expert, balance loss and z-loss.
parallel::TrainOptions TinyOptions(DType dtype, int64_t sequences);

// Text of a noisy first-order grammar: token t + 1 follows from token t three times in four. A
// function of the index alone; sample i is of domain i % num_domains.
parallel::SampleSource SyntheticText(int64_t vocabulary, int num_domains);

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_PARALLEL_TINY_MODEL_H_
