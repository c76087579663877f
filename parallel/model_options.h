#ifndef EQUIPOISE_PARALLEL_MODEL_OPTIONS_H_
#define EQUIPOISE_PARALLEL_MODEL_OPTIONS_H_

#include <cstdint>

#include "core/tensor/dtype.h"
#include "routing/router.h"

namespace equipoise::parallel {

// Mixture-of-Experts layers of the model. Router kind and settings, E, K and the losses are in
// `router`; hidden size, layer, seed and name prefix of it are filled in per layer.
struct MoeOptions {
  routing::RouterOptions router;
  int64_t expert_width = 0;  // F
  // SwiGLU of this width on every token, added to the routed output; 0: none.
  int64_t shared_expert_width = 0;
};

// Whose names the tensors of MoE layers have in checkpoints.
enum class TensorNames : uint8_t {
  kQwen3Moe,  // mlp.gate, mlp.experts.J.{gate,up,down}_proj; DeepSeek's are the same
  kMixtral,   // block_sparse_moe.gate, block_sparse_moe.experts.J.{w1,w3,w2}
};

// A decoder-only transformer: Mixtral and Qwen3-MoE are settings of it.
struct ModelOptions {
  int64_t vocabulary = 0;  // V
  int64_t hidden = 0;      // H
  int num_layers = 0;      // L
  int num_heads = 0;       // Q
  int num_kv_heads = 0;    // KV; divides num_heads
  int64_t head_dim = 0;    // D, even; num_heads * head_dim need not be hidden
  bool qk_norm = false;    // RMSNorm on every head of q and k before RoPE (Qwen3)
  double rope_theta = 10000.0;
  double norm_epsilon = 1e-6;
  bool tied_embeddings = false;  // the head is the embedding table
  // The first layers with a dense SwiGLU feed-forward of dense_width instead of experts.
  int num_dense_layers = 0;
  int64_t dense_width = 0;
  double init_stddev = 0.02;
  TensorNames tensor_names = TensorNames::kQwen3Moe;
  MoeOptions moe;
  // Training runs in kF32. kF64 is the same code in double precision, for checking gradients.
  DType dtype = DType::kF32;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_MODEL_OPTIONS_H_
