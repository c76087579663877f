#ifndef EQUIPOISE_CORE_NN_EXPERT_BANK_H_
#define EQUIPOISE_CORE_NN_EXPERT_BANK_H_

#include <cstdint>
#include <span>
#include <string>

#include "core/device/context.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// What checkpoints call the three matrices of an expert, behind `experts.J.`. The defaults are
// those of Qwen3-MoE and DeepSeek; Mixtral has w1, w3 and w2.
struct ExpertTensorNames {
  std::string gate = "gate_proj";
  std::string up = "up_proj";
  std::string down = "down_proj";
};

// The SwiGLU experts that one rank owns, applied to runs of rows: row i of expert e becomes
// Wdown_e (silu(Wgate_e x) * (Wup_e x)). Any number of experts, none included; any run may be
// empty.
class ExpertBank {
 public:
  // Declares `prefix`experts.J.NAME.weight for every J of `experts` (global ids, in storage order)
  // and the three names; width F.
  ExpertBank(int64_t hidden, int64_t width, double init_stddev, std::span<const int> experts,
             const std::string& prefix, const ExpertTensorNames& names,
             ParameterRegistry& parameters);

  struct Saved {
    ConstTensorView x, offsets;  // the caller's
    TensorView gate_up;          // [rows, 2F]
  };
  // x, y [rows, H]; offsets I64 [E_r + 1] as in swiglu_experts.h. x and offsets must live until
  // Backward.
  Saved Forward(const Context& context, ConstTensorView x, ConstTensorView offsets,
                TensorView y) const;
  // dx [rows, H] is overwritten.
  void Backward(const Context& context, const Saved& saved, ConstTensorView dy,
                TensorView dx) const;

 private:
  int64_t width_;
  Parameter* gate_up_;  // [E_r, 2F, H]
  Parameter* down_;     // [E_r, H, F]
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_NN_EXPERT_BANK_H_
