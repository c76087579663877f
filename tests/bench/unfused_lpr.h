#ifndef EQUIPOISE_TESTS_BENCH_UNFUSED_LPR_H_
#define EQUIPOISE_TESTS_BENCH_UNFUSED_LPR_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/device/context.h"
#include "core/device/device.h"
#include "core/tensor/tensor.h"
#include "routing/lpr/latent_noise.h"
#include "routing/lpr/options.h"

namespace equipoise::bench {

// F32: the parameters of an LPR router with cosine similarity and learned prototypes, or their
// gradients.
struct UnfusedLprParameters {
  TensorView gain, shift;            // [H]
  TensorView weight, bias;           // [M, H], [M]
  TensorView prototypes;             // [E, D]
  TensorView decoder, decoder_bias;  // [H, D], [H]; absent without decode
};

// Latent Prototype Routing composed of whole-array operations, each of which reads and writes
// memory, as a framework's eager mode runs them: the rival of the fused router. Every operation is
// our fastest: the same matrix products, the same vector code, nothing allocated in a step, float
// throughout. (routing/reference/lpr.h says the same in loops that a reader can check; that is the
// oracle.) Modes REFERENCE and LEAN, without bias, groups or capacity. One per thread.
class UnfusedLpr {
 public:
  struct Sizes {
    int64_t tokens = 0, hidden = 0, experts = 0, top_k = 0, dimensions = 0;
  };
  // How similarities and the diversity of tokens are made.
  enum class Form : uint8_t {
    kPublished,  // products of T x E x D; a Gram matrix of T x T
    kFrugal,     // a matrix product; a Gram matrix of D x D
  };

  // `options` say which losses, log-variances and decode. Parameters and device outlive it.
  static absl::StatusOr<std::unique_ptr<UnfusedLpr>> Create(Device& device, const Sizes& sizes,
                                                            Form form,
                                                            const routing::LprOptions& options,
                                                            const UnfusedLprParameters& parameters,
                                                            const routing::LatentNoise& noise);

  struct Input {
    ConstTensorView x;              // [T, H]
    ConstTensorView dgates;         // [T, K]
    ConstTensorView dexpert_input;  // [T, H]; without decode not read
  };
  // Forward and backward pass with all losses; ids and gates are those of the step.
  void Run(const Context& context, const Input& input);

  ConstTensorView ids() const { return ids_.view(); }                    // I32 [T, K]
  ConstTensorView gates() const { return gates_.view(); }                // [T, K]
  ConstTensorView expert_input() const { return expert_input_.view(); }  // [T, H], with decode
  ConstTensorView dx() const { return dx_.view(); }                      // [T, H]
  const UnfusedLprParameters& gradients() const { return gradients_; }
  // Of this step, each weighted.
  const routing::LprLossWeights& losses() const { return losses_; }

 private:
  UnfusedLpr(const Sizes& sizes, Form form, const routing::LprOptions& options,
             const UnfusedLprParameters& parameters, const routing::LatentNoise& noise)
      : sizes_(sizes),
        form_(form),
        options_(options),
        parameters_(parameters),
        noise_source_(&noise) {}
  absl::Status Allocate(Device& device);
  absl::Status AllocateGradients(Device& device);

  void Encode(const Context& context, ConstTensorView x);
  void Compare(const Context& context);
  void Choose(const Context& context);
  void Decode(const Context& context, ConstTensorView x);
  void Align(const Context& context);
  double TokenDiversity(const Context& context);
  void Losses(const Context& context);

  void GatesBackward(ConstTensorView dgates);
  void DecodeBackward(const Context& context, ConstTensorView dexpert_input);
  void CompareBackward(const Context& context);
  void DiversityBackward(const Context& context);
  void LatentsBackward(const Context& context);
  void EncodeBackward(const Context& context, const Input& input);

  bool published() const { return form_ == Form::kPublished; }
  int64_t moments() const { return (options_.log_variances ? 2 : 1) * sizes_.dimensions; }

  const Sizes sizes_;
  const Form form_;
  const routing::LprOptions options_;
  const UnfusedLprParameters parameters_;
  const routing::LatentNoise* noise_source_;
  UnfusedLprParameters gradients_;
  std::vector<Tensor> gradient_memory_;
  routing::LprLossWeights losses_;

  Tensor normalised_, activations_, dactivations_, dnormalised_, dx_;  // [T, H]
  Tensor expert_input_;                                                // [T, H]
  Tensor means_, inverse_deviations_;                                  // [T]
  Tensor moments_, dmoments_;                                          // [T, M]
  Tensor directions_, ddirections_, samples_, noise_;                  // [T, D]
  Tensor inverse_lengths_;                                             // [T]
  Tensor codes_, dcodes_;                                              // [T, D]
  Tensor points_, dpoints_, targets_, point_inverse_lengths_;          // [E, D], [E]
  Tensor similarities_, probabilities_, dsimilarities_;                // [T, E]
  Tensor dprobabilities_, responsibilities_;                           // [T, E]
  Tensor ids_, gates_;                                                 // [T, K]
  Tensor products_;                                                    // [T E, D], published
  Tensor token_gram_;                                                  // [T, T] or [D, D]
  Tensor point_gram_;                                                  // [E, E]
  Tensor ones_, row_, token_noise_;                                    // [max], F64 [D]
};

}  // namespace equipoise::bench

#endif  // EQUIPOISE_TESTS_BENCH_UNFUSED_LPR_H_
