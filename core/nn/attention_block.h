#ifndef EQUIPOISE_CORE_NN_ATTENTION_BLOCK_H_
#define EQUIPOISE_CORE_NN_ATTENTION_BLOCK_H_

#include <cstdint>
#include <string>

#include "core/device/context.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

struct AttentionOptions {
  int64_t hidden = 0;        // H
  int64_t num_heads = 0;     // Q
  int64_t num_kv_heads = 0;  // KV
  int64_t head_dim = 0;      // D
  bool qk_norm = false;
  double rope_theta = 10000.0;
  double norm_epsilon = 1e-6;
  double init_stddev = 0.02;
};

// The attention half of a transformer layer with its residual connection:
// h_out = h + Wo attention(rope(norm(Wq n)), rope(norm(Wk n)), Wv n), n = RmsNorm(h).
// Holds pointers to parameters of a registry that outlives it; no other state.
class AttentionBlock {
 public:
  // Declares its parameters under `prefix`, for example "model.layers.0.".
  AttentionBlock(const AttentionOptions& options, const std::string& prefix,
                 ParameterRegistry& parameters);

  // What Backward reads; views into context.activations.
  struct Saved {
    ConstTensorView input;         // [T, H], the caller's
    TensorView norm, inverse_rms;  // [T, H], [T]
    TensorView q_raw, k_raw;       // before the q/k norms; absent without them
    TensorView q_inverse_rms, k_inverse_rms;
    TensorView q, k, v;             // as attention takes them
    TensorView mixed, log_sum_exp;  // attention's outputs
  };

  // h, h_out [T, H]; h must live until Backward. T is a multiple of sequence_length.
  Saved Forward(const Context& context, int64_t sequence_length, ConstTensorView h,
                TensorView h_out) const;
  // dh [T, H] holds the gradient of h_out and receives that of h. Adds to parameters' gradients.
  void Backward(const Context& context, int64_t sequence_length, const Saved& saved,
                TensorView dh) const;

 private:
  // Normalises and turns the queries or keys in place.
  void PrepareHeads(const Context& context, int64_t sequence_length, const Parameter* norm,
                    TensorView heads, TensorView* raw, TensorView* inverse_rms) const;
  void PrepareHeadsBackward(const Context& context, int64_t sequence_length, const Parameter* norm,
                            ConstTensorView raw, ConstTensorView inverse_rms,
                            TensorView dheads) const;

  AttentionOptions options_;
  Parameter* norm_;
  Parameter* q_;
  Parameter* k_;
  Parameter* v_;
  Parameter* q_norm_ = nullptr;
  Parameter* k_norm_ = nullptr;
  Parameter* o_;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_NN_ATTENTION_BLOCK_H_
