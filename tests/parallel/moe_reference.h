#ifndef EQUIPOISE_TESTS_PARALLEL_MOE_REFERENCE_H_
#define EQUIPOISE_TESTS_PARALLEL_MOE_REFERENCE_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "parallel/model_options.h"

namespace equipoise::testing_support {

// Values or gradients by logical name.
using NamedArrays = std::map<std::string, std::vector<double>>;

struct MoeReferenceResult {
  std::vector<double> output;  // [T, H]
  double balance = 0.0;        // weighted losses of the whole batch
  double z = 0.0;
  int64_t dropped = 0;  // copies over capacity
  std::vector<double> counts;
};

// What a top_k MoE layer must compute, as its definition says it, in double: every expert applied
// to every token, and masked. h [T, H]; names in `values` start with `prefix`.
MoeReferenceResult MoeByDefinition(const parallel::ModelOptions& options, int64_t sequence_length,
                                   const std::string& prefix, const NamedArrays& values,
                                   std::span<const double> h);

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_PARALLEL_MOE_REFERENCE_H_
