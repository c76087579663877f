#include "core/nn/attention_block.h"

#include "core/nn/declare.h"
#include "core/ops/attention.h"
#include "core/ops/elementwise.h"
#include "core/ops/gemm.h"
#include "core/ops/rms_norm.h"
#include "core/ops/rope.h"

namespace equipoise {
AttentionBlock::AttentionBlock(const AttentionOptions& options, const std::string& prefix,
                               ParameterRegistry& parameters)
    : options_(options) {
  const int64_t q_width = options.num_heads * options.head_dim;
  const int64_t kv_width = options.num_kv_heads * options.head_dim;
  const std::string attention = prefix + "self_attn.";
  const double stddev = options.init_stddev;
  norm_ = DeclareGain(parameters, prefix + "input_layernorm.weight", options.hidden);
  q_ = DeclareMatrix(parameters, attention + "q_proj.weight", q_width, options.hidden, stddev);
  k_ = DeclareMatrix(parameters, attention + "k_proj.weight", kv_width, options.hidden, stddev);
  v_ = DeclareMatrix(parameters, attention + "v_proj.weight", kv_width, options.hidden, stddev);
  if (options.qk_norm) {
    q_norm_ = DeclareGain(parameters, attention + "q_norm.weight", options.head_dim);
    k_norm_ = DeclareGain(parameters, attention + "k_norm.weight", options.head_dim);
  }
  o_ = DeclareMatrix(parameters, attention + "o_proj.weight", options.hidden, q_width, stddev);
}

AttentionBlock::Saved AttentionBlock::Forward(const Context& context, int64_t sequence_length,
                                              ConstTensorView h, TensorView h_out) const {
  const int64_t tokens = h.dim(0);
  const DType dtype = h.dtype();
  Workspace& saved_space = *context.activations;
  const Shape q_shape = {tokens, options_.num_heads, options_.head_dim};
  const Shape kv_shape = {tokens, options_.num_kv_heads, options_.head_dim};
  const Shape q_matrix = {tokens, q_shape.row_elements()};
  const Shape kv_matrix = {tokens, kv_shape.row_elements()};

  Saved saved;
  saved.input = h;
  saved.norm = saved_space.Allocate(dtype, h.shape());
  saved.inverse_rms = saved_space.Allocate(dtype, {tokens});
  RmsNormForward(context, h, norm_->value(), options_.norm_epsilon, saved.norm, saved.inverse_rms);

  saved.q = saved_space.Allocate(dtype, q_shape);
  saved.k = saved_space.Allocate(dtype, kv_shape);
  saved.v = saved_space.Allocate(dtype, kv_shape);
  LinearForward(context, saved.norm, q_->value(), saved.q.Reshaped(q_matrix));
  LinearForward(context, saved.norm, k_->value(), saved.k.Reshaped(kv_matrix));
  LinearForward(context, saved.norm, v_->value(), saved.v.Reshaped(kv_matrix));
  PrepareHeads(context, sequence_length, q_norm_, saved.q, &saved.q_raw, &saved.q_inverse_rms);
  PrepareHeads(context, sequence_length, k_norm_, saved.k, &saved.k_raw, &saved.k_inverse_rms);

  saved.mixed = saved_space.Allocate(dtype, q_shape);
  saved.log_sum_exp = saved_space.Allocate(dtype, {tokens, options_.num_heads});
  AttentionForward(context, sequence_length, saved.q, saved.k, saved.v, saved.mixed,
                   saved.log_sum_exp);
  Copy(context, h, h_out);
  Gemm(context, Transpose::kNo, Transpose::kYes, 1.0, saved.mixed.Reshaped(q_matrix), o_->value(),
       1.0, h_out);
  return saved;
}

void AttentionBlock::PrepareHeads(const Context& context, int64_t sequence_length,
                                  const Parameter* norm, TensorView heads, TensorView* raw,
                                  TensorView* inverse_rms) const {
  if (norm != nullptr) {
    *raw = context.activations->Allocate(heads.dtype(), heads.shape());
    *inverse_rms = context.activations->Allocate(heads.dtype(), {heads.dim(0) * heads.dim(1)});
    Copy(context, heads, *raw);
    RmsNormForward(context, *raw, norm->value(), options_.norm_epsilon, heads, *inverse_rms);
  }
  RopeForward(context, options_.rope_theta, sequence_length, heads);
}

void AttentionBlock::PrepareHeadsBackward(const Context& context, int64_t sequence_length,
                                          const Parameter* norm, ConstTensorView raw,
                                          ConstTensorView inverse_rms, TensorView dheads) const {
  RopeBackward(context, options_.rope_theta, sequence_length, dheads);
  if (norm != nullptr) {
    RmsNormBackward(context, raw, norm->value(), inverse_rms, dheads, dheads,
                    /*accumulate_dx=*/false, norm->gradient());
  }
}

void AttentionBlock::Backward(const Context& context, int64_t sequence_length, const Saved& saved,
                              TensorView dh) const {
  const WorkspaceFrame frame(*context.scratch);
  Workspace& scratch = *context.scratch;
  const DType dtype = dh.dtype();
  const Shape q_matrix = {dh.dim(0), saved.q.shape().row_elements()};
  const Shape kv_matrix = {dh.dim(0), saved.k.shape().row_elements()};

  const TensorView dmixed = scratch.Allocate(dtype, saved.mixed.shape());
  LinearBackward(context, saved.mixed.Reshaped(q_matrix), o_->value(), dh,
                 dmixed.Reshaped(q_matrix), /*accumulate_dx=*/false, o_->gradient());

  const TensorView dq = scratch.Allocate(dtype, saved.q.shape());
  const TensorView dk = scratch.Allocate(dtype, saved.k.shape());
  const TensorView dv = scratch.Allocate(dtype, saved.v.shape());
  const AttentionSaved attention = {saved.q, saved.k, saved.v, saved.mixed, saved.log_sum_exp};
  AttentionBackward(context, sequence_length, attention, dmixed, dq, dk, dv);
  PrepareHeadsBackward(context, sequence_length, q_norm_, saved.q_raw, saved.q_inverse_rms, dq);
  PrepareHeadsBackward(context, sequence_length, k_norm_, saved.k_raw, saved.k_inverse_rms, dk);

  const TensorView dnorm = scratch.Allocate(dtype, dh.shape());
  LinearBackward(context, saved.norm, q_->value(), dq.Reshaped(q_matrix), dnorm, false,
                 q_->gradient());
  LinearBackward(context, saved.norm, k_->value(), dk.Reshaped(kv_matrix), dnorm, true,
                 k_->gradient());
  LinearBackward(context, saved.norm, v_->value(), dv.Reshaped(kv_matrix), dnorm, true,
                 v_->gradient());
  RmsNormBackward(context, saved.input, norm_->value(), saved.inverse_rms, dnorm, dh,
                  /*accumulate_dx=*/true, norm_->gradient());
}

}  // namespace equipoise
