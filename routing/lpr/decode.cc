#include "routing/lpr/decode.h"

#include <utility>

#include "core/ops/gemm.h"
#include "routing/cpu/score_rows.h"
#include "routing/lpr/declare.h"
#include "routing/transposed.h"

namespace equipoise::routing {
namespace {

class DecodedPrototypes final : public ExpertInputTerm {
 public:
  DecodedPrototypes(const RouterOptions& router, const DecodeOptions& options,
                    std::shared_ptr<Prototypes> prototypes, ParameterRegistry& parameters)
      : prototypes_(std::move(prototypes)) {
    weight_ = DeclareOfGate(router, parameters, "decoder.weight",
                            {router.hidden, prototypes_->dimensions()},
                            {Init::kNormal, options.init_stddev, /*decay=*/true});
    bias_ = DeclareOfGate(router, parameters, "decoder.bias", {router.hidden},
                          {Init::kZeros, /*stddev=*/0.0, options.decay_all});
  }

  int64_t code_size() const override { return prototypes_->dimensions(); }

  void Encode(const Context& context, const ScoreTile& tile, TensorView codes) const override {
    WorkspaceFrame frame(*context.scratch);
    Gemm(context, Transpose::kNo, Transpose::kNo, 1.0, tile.probabilities,
         prototypes_->Points(context, codes.dtype()), 0.0, codes);
  }

  void AddTo(const Context& context, ConstTensorView codes, TensorView inputs) const override {
    Gemm(context, Transpose::kNo, Transpose::kYes, 1.0, codes, weight_->value(), 1.0, inputs);
    const int64_t hidden = bias_->num_elements();
    DispatchFloat(inputs.dtype(), [&]<typename T>() {
      T* row = inputs.cpu<T>().data();
      for (int64_t i = 0; i < inputs.dim(0); ++i, row += hidden) {
        cpu::AddScaledRow(T{1}, bias_->value().cpu<T>().data(), hidden, row);
      }
    });
  }

  // The weight's gradient, transposed: a product of D x H, whose rows are long, is twice as fast.
  TensorView StartBackward(const Context& context) const override {
    const TensorView value = weight_->value();
    const TensorView sums = context.scratch->Allocate(value.dtype(), {value.dim(1), value.dim(0)});
    context.device->Zero(sums.raw(), sums.num_bytes());
    return sums;
  }

  void FinishBackward(const Context& context, ConstTensorView sums) const override {
    AddTransposed(context, sums, weight_->gradient());
  }

  void Backward(const Context& context, const ScoreTile& tile, ConstTensorView dinputs,
                const ScoreTileGradient& gradient, TensorView sums) const override {
    WorkspaceFrame frame(*context.scratch);
    const DType dtype = dinputs.dtype();
    const Shape shape = {tile.num_rows(), code_size()};
    const TensorView codes = context.scratch->Allocate(dtype, shape);
    const TensorView dcodes = context.scratch->Allocate(dtype, shape);
    Encode(context, tile, codes);
    LinearBackward(context, codes, weight_->value(), dinputs, dcodes, /*accumulate_dx=*/false,
                   TensorView());
    Gemm(context, Transpose::kYes, Transpose::kNo, 1.0, codes, dinputs, 1.0, sums);
    const int64_t hidden = bias_->num_elements();
    DispatchFloat(dtype, [&]<typename T>() {
      const T* row = dinputs.cpu<T>().data();
      for (int64_t i = 0; i < dinputs.dim(0); ++i, row += hidden) {
        cpu::AddScaledRow(T{1}, row, hidden, bias_->gradient().cpu<T>().data());
      }
    });
    Gemm(context, Transpose::kNo, Transpose::kYes, 1.0, dcodes, prototypes_->Points(context, dtype),
         1.0, gradient.probabilities);
    if (!prototypes_->learned()) return;
    Gemm(context, Transpose::kYes, Transpose::kNo, 1.0, tile.probabilities, dcodes, 1.0,
         prototypes_->gradient());
  }

 private:
  const std::shared_ptr<Prototypes> prototypes_;
  const Parameter* weight_;
  const Parameter* bias_;
};

}  // namespace

std::unique_ptr<ExpertInputTerm> MakeDecodedPrototypes(const RouterOptions& router,
                                                       const DecodeOptions& options,
                                                       std::shared_ptr<Prototypes> prototypes,
                                                       ParameterRegistry& parameters) {
  return std::make_unique<DecodedPrototypes>(router, options, std::move(prototypes), parameters);
}

}  // namespace equipoise::routing
