#ifndef EQUIPOISE_CORE_OPS_REFERENCE_ATTENTION_H_
#define EQUIPOISE_CORE_OPS_REFERENCE_ATTENTION_H_

#include <cstdint>
#include <span>
#include <vector>

// What core/ops/attention.h must compute, written as the definition says it, in double: one whole
// row of scores at a time, no blocks. For tests.
namespace equipoise::reference {

struct AttentionShape {
  int64_t num_sequences;
  int64_t sequence_length;
  int64_t query_heads;
  int64_t kv_heads;
  int64_t head_dim;
};

struct AttentionInputs {
  std::span<const double> q, k, v;
};

struct AttentionOutputs {
  std::vector<double> out, log_sum_exp;
};
AttentionOutputs AttentionForward(const AttentionShape& shape, const AttentionInputs& inputs);

struct AttentionGradients {
  std::vector<double> dq, dk, dv;
};
AttentionGradients AttentionBackward(const AttentionShape& shape, const AttentionInputs& inputs,
                                     std::span<const double> dout);

}  // namespace equipoise::reference

#endif  // EQUIPOISE_CORE_OPS_REFERENCE_ATTENTION_H_
