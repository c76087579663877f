#include "tests/bench/unfused_lpr.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/base/status_macros.h"
#include "core/ops/cpu/row_kernels.h"
#include "core/ops/elementwise.h"
#include "core/ops/gemm.h"
#include "routing/cpu/score_rows.h"
#include "routing/cpu/top_k_rows.h"
#include "routing/lpr/directions.h"

namespace equipoise::bench {
namespace {

using routing::AddDirectionsGradient;
using routing::ComputeDirections;

constexpr Transpose kNo = Transpose::kNo, kYes = Transpose::kYes;

float* Row(TensorView m, int64_t row) { return m.cpu<float>().data() + row * m.dim(1); }
const float* Row(ConstTensorView m, int64_t t) { return m.cpu<float>().data() + t * m.dim(1); }

// y[row] += x.
void AddToRows(ConstTensorView x, TensorView y) {
  for (int64_t t = 0; t < y.dim(0); ++t) {
    cpu::AddScaledRow(1.0f, x.cpu<float>().data(), y.dim(1), Row(y, t));
  }
}

// sum = sum of rows of x.
void SumRows(const Context& context, ConstTensorView x, TensorView sum) {
  Fill(context, 0.0, sum);
  for (int64_t t = 0; t < x.dim(0); ++t) {
    cpu::AddScaledRow(1.0f, Row(x, t), x.dim(1), sum.cpu<float>().data());
  }
}

void SoftmaxRows(ConstTensorView x, TensorView p) {
  for (int64_t t = 0; t < x.dim(0); ++t) cpu::SoftmaxRow(Row(x, t), x.dim(1), Row(p, t));
}

// out += gradient of what p is the softmax of, dp that of p.
void AddSoftmaxGradient(ConstTensorView p, ConstTensorView dp, TensorView out) {
  for (int64_t t = 0; t < p.dim(0); ++t) {
    const float mean = cpu::DotRow(Row(p, t), Row(dp, t), p.dim(1));
    cpu::AddSoftmaxGradientRow(Row(p, t), Row(dp, t), mean, p.dim(1), Row(out, t));
  }
}

// ||G - I||_F^2 / M^2 of a Gram matrix [M, M], which becomes G - I.
double SquareWithoutDiagonal(TensorView gram) {
  const int64_t rows = gram.dim(0);
  double sum = 0.0;
  for (int64_t i = 0; i < rows; ++i) Row(gram, i)[i] -= 1.0f;
  for (int64_t i = 0; i < rows; ++i) {
    sum += static_cast<double>(cpu::DotRow(Row(gram, i), Row(gram, i), rows));
  }
  return sum / static_cast<double>(rows) / static_cast<double>(rows);
}

}  // namespace

absl::StatusOr<std::unique_ptr<UnfusedLpr>> UnfusedLpr::Create(
    Device& device, const Sizes& sizes, Form form, const routing::LprOptions& options,
    const UnfusedLprParameters& parameters, const routing::LatentNoise& noise) {
  std::unique_ptr<UnfusedLpr> router(new UnfusedLpr(sizes, form, options, parameters, noise));
  EQ_RETURN_IF_ERROR(router->Allocate(device));
  EQ_RETURN_IF_ERROR(router->AllocateGradients(device));
  return router;
}

absl::Status UnfusedLpr::Allocate(Device& device) {
  const auto [tokens, hidden, experts, top_k, dimensions] = sizes_;
  const auto create = [&](const Shape& shape, std::initializer_list<Tensor*> tensors) {
    for (Tensor* tensor : tensors) {
      EQ_ASSIGN_OR_RETURN(*tensor, Tensor::Create(device, DType::kF32, shape));
    }
    return absl::OkStatus();
  };
  EQ_RETURN_IF_ERROR(create({tokens, hidden}, {&normalised_, &activations_, &dactivations_,
                                               &dnormalised_, &dx_, &expert_input_}));
  EQ_RETURN_IF_ERROR(create({tokens}, {&means_, &inverse_deviations_, &inverse_lengths_}));
  EQ_RETURN_IF_ERROR(create({tokens, moments()}, {&moments_, &dmoments_}));
  EQ_RETURN_IF_ERROR(create({tokens, dimensions},
                            {&directions_, &ddirections_, &samples_, &noise_, &codes_, &dcodes_}));
  EQ_RETURN_IF_ERROR(create({experts, dimensions}, {&points_, &dpoints_, &targets_}));
  EQ_RETURN_IF_ERROR(create({experts}, {&point_inverse_lengths_}));
  EQ_RETURN_IF_ERROR(create({tokens, experts}, {&similarities_, &probabilities_, &dsimilarities_,
                                                &dprobabilities_, &responsibilities_}));
  EQ_RETURN_IF_ERROR(create({tokens, top_k}, {&gates_}));
  const int64_t gram_rows = published() ? tokens : dimensions;
  EQ_RETURN_IF_ERROR(create({gram_rows, gram_rows}, {&token_gram_}));
  EQ_RETURN_IF_ERROR(create({experts, experts}, {&point_gram_}));
  EQ_RETURN_IF_ERROR(create({published() ? tokens * experts : 0, dimensions}, {&products_}));
  EQ_RETURN_IF_ERROR(create({std::max(hidden, top_k)}, {&ones_, &row_}));
  EQ_ASSIGN_OR_RETURN(token_noise_, Tensor::Create(device, DType::kF64, {dimensions}));
  EQ_ASSIGN_OR_RETURN(ids_, Tensor::Create(device, DType::kI32, {tokens, top_k}));
  std::fill(ones_.view().cpu<float>().begin(), ones_.view().cpu<float>().end(), 1.0f);
  return absl::OkStatus();
}

absl::Status UnfusedLpr::AllocateGradients(Device& device) {
  const auto like = [&](ConstTensorView value, TensorView& gradient) -> absl::Status {
    if (value.absent()) return absl::OkStatus();
    EQ_ASSIGN_OR_RETURN(Tensor memory, Tensor::Create(device, DType::kF32, value.shape()));
    gradient = memory.view();
    gradient_memory_.push_back(std::move(memory));
    return absl::OkStatus();
  };
  EQ_RETURN_IF_ERROR(like(parameters_.gain, gradients_.gain));
  EQ_RETURN_IF_ERROR(like(parameters_.shift, gradients_.shift));
  EQ_RETURN_IF_ERROR(like(parameters_.weight, gradients_.weight));
  EQ_RETURN_IF_ERROR(like(parameters_.bias, gradients_.bias));
  EQ_RETURN_IF_ERROR(like(parameters_.prototypes, gradients_.prototypes));
  EQ_RETURN_IF_ERROR(like(parameters_.decoder, gradients_.decoder));
  return like(parameters_.decoder_bias, gradients_.decoder_bias);
}

void UnfusedLpr::Encode(const Context& context, ConstTensorView x) {
  const int64_t hidden = sizes_.hidden;
  const float* ones = ones_.view().cpu<float>().data();
  const float* gain = parameters_.gain.cpu<float>().data();
  const float* shift = parameters_.shift.cpu<float>().data();
  float* centred = row_.view().cpu<float>().data();
  for (int64_t t = 0; t < sizes_.tokens; ++t) {
    const float* in = Row(x, t);
    float* out = Row(normalised_.view(), t);
    const float mean = cpu::DotRow(in, ones, hidden) / static_cast<float>(hidden);
    for (int64_t h = 0; h < hidden; ++h) centred[h] = in[h] - mean;
    const float variance = cpu::DotRow(centred, centred, hidden) / static_cast<float>(hidden);
    const float inverse = 1.0f / std::sqrt(variance + 1e-5f);
    for (int64_t h = 0; h < hidden; ++h) out[h] = gain[h] * (centred[h] * inverse) + shift[h];
    means_.view().cpu<float>()[static_cast<size_t>(t)] = mean;
    inverse_deviations_.view().cpu<float>()[static_cast<size_t>(t)] = inverse;
  }
  const auto& kernels = cpu::RowKernels<float>::Get();
  for (int64_t t = 0; t < sizes_.tokens; ++t) {
    kernels.silu_product(Row(normalised_.view(), t), ones, Row(activations_.view(), t), hidden);
  }
  LinearForward(context, activations_.view(), parameters_.weight, moments_.view());
  AddToRows(parameters_.bias, moments_.view());
}

void UnfusedLpr::Compare(const Context& context) {
  const auto [tokens, hidden, experts, top_k, dimensions] = sizes_;
  ComputeDirections(context, moments_.view(), directions_.view(), inverse_lengths_.view());
  ComputeDirections(context, parameters_.prototypes, points_.view(), point_inverse_lengths_.view());
  if (!published()) {
    LinearForward(context, directions_.view(), points_.view(), similarities_.view());
    return;
  }
  const auto& kernels = cpu::RowKernels<float>::Get();
  const float* ones = ones_.view().cpu<float>().data();
  for (int64_t i = 0; i < tokens * experts; ++i) {
    kernels.scale_product(1.0f, Row(directions_.view(), i / experts),
                          Row(points_.view(), i % experts), Row(products_.view(), i), dimensions);
  }
  float* similarities = similarities_.view().cpu<float>().data();
  for (int64_t i = 0; i < tokens * experts; ++i) {
    similarities[i] = cpu::DotRow(Row(products_.view(), i), ones, dimensions);
  }
}

void UnfusedLpr::Choose(const Context& context) {
  const int64_t top_k = sizes_.top_k;
  int32_t* ids = ids_.view().cpu<int32_t>().data();
  cpu::TopKRows<float>(similarities_.view().cpu<float>().data(), sizes_.tokens, sizes_.experts,
                       top_k, ids);
  Fill(context, 0.0, responsibilities_.view());
  for (int64_t t = 0; t < sizes_.tokens; ++t, ids += top_k) {
    const float* similarities = Row(similarities_.view(), t);
    for (int64_t k = 0; k < top_k; ++k) {
      Row(gates_.view(), t)[k] = similarities[ids[k]];
      Row(responsibilities_.view(), t)[ids[k]] = similarities[ids[k]];
    }
  }
  SoftmaxRows(gates_.view(), gates_.view());
  SoftmaxRows(similarities_.view(), probabilities_.view());
}

void UnfusedLpr::Decode(const Context& context, ConstTensorView x) {
  if (!options_.decode) return;
  Gemm(context, kNo, kNo, 1.0, probabilities_.view(), parameters_.prototypes, 0.0, codes_.view());
  LinearForward(context, codes_.view(), parameters_.decoder, expert_input_.view());
  AddToRows(parameters_.decoder_bias, expert_input_.view());
  Axpy(context, 1.0, x, expert_input_.view());
}

void UnfusedLpr::Align(const Context& context) {
  const int64_t dimensions = sizes_.dimensions;
  const auto noise = token_noise_.view().cpu<double>();
  for (int64_t t = 0; t < sizes_.tokens; ++t) {
    const float* moments = Row(moments_.view(), t);
    std::copy_n(moments, dimensions, Row(samples_.view(), t));
    if (!options_.log_variances) continue;
    noise_source_->Draw(0, t, noise);
    std::copy(noise.begin(), noise.end(), Row(noise_.view(), t));
    cpu::ExpRow(0.5f, moments + dimensions, dimensions, row_.view().cpu<float>().data());
    for (int64_t d = 0; d < dimensions; ++d) {
      Row(samples_.view(), t)[d] +=
          Row(noise_.view(), t)[d] * row_.view().cpu<float>()[static_cast<size_t>(d)];
    }
  }
  SoftmaxRows(responsibilities_.view(), responsibilities_.view());
  Gemm(context, kYes, kNo, 1.0, responsibilities_.view(), samples_.view(), 0.0, targets_.view());
}

double UnfusedLpr::TokenDiversity(const Context& context) {
  const TensorView gram = token_gram_.view();
  if (published()) {
    LinearForward(context, directions_.view(), directions_.view(), gram);
    return SquareWithoutDiagonal(gram);
  }
  Gemm(context, kYes, kNo, 1.0, directions_.view(), directions_.view(), 0.0, gram);
  const double tokens = static_cast<double>(sizes_.tokens);
  return (SumOfSquares(context, gram) - tokens) / (tokens * tokens);
}

void UnfusedLpr::Losses(const Context& context) {
  const int64_t dimensions = sizes_.dimensions;
  double kl = 0.0;
  for (int64_t t = 0; t < sizes_.tokens; ++t) {
    const float* moments = Row(moments_.view(), t);
    kl += 0.5 * static_cast<double>(cpu::DotRow(moments, moments, dimensions));
    if (!options_.log_variances) continue;
    float* variances = row_.view().cpu<float>().data();
    cpu::ExpRow(1.0f, moments + dimensions, dimensions, variances);
    for (int64_t d = 0; d < dimensions; ++d) {
      kl += 0.5 * static_cast<double>(variances[d] - 1.0f - moments[dimensions + d]);
    }
  }
  const routing::LprLossWeights& weights = options_.weights;
  losses_ = {};
  losses_.kl = weights.kl * kl / static_cast<double>(sizes_.tokens);
  losses_.token_diversity = weights.token_diversity * TokenDiversity(context);
  LinearForward(context, points_.view(), points_.view(), point_gram_.view());
  losses_.prototype_diversity =
      weights.prototype_diversity * SquareWithoutDiagonal(point_gram_.view());
  const auto points = parameters_.prototypes.cpu<float>();
  const auto targets = targets_.view().cpu<float>();
  for (size_t i = 0; i < points.size(); ++i) {
    losses_.alignment += weights.alignment * static_cast<double>(std::fabs(points[i] - targets[i]));
  }
  losses_.alignment /= static_cast<double>(points.size());
}

void UnfusedLpr::GatesBackward(ConstTensorView dgates) {
  const int64_t top_k = sizes_.top_k;
  const int32_t* ids = ids_.view().cpu<int32_t>().data();
  for (int64_t t = 0; t < sizes_.tokens; ++t, ids += top_k) {
    const float* gates = Row(gates_.view(), t);
    const float mean = cpu::DotRow(gates, Row(dgates, t), top_k);
    for (int64_t k = 0; k < top_k; ++k) {
      Row(dsimilarities_.view(), t)[ids[k]] += gates[k] * (Row(dgates, t)[k] - mean);
    }
  }
}

void UnfusedLpr::DecodeBackward(const Context& context, ConstTensorView dexpert_input) {
  if (!options_.decode) return;
  Fill(context, 0.0, gradients_.decoder);
  LinearBackward(context, codes_.view(), parameters_.decoder, dexpert_input, dcodes_.view(),
                 /*accumulate_dx=*/false, gradients_.decoder);
  SumRows(context, dexpert_input, gradients_.decoder_bias);
  LinearForward(context, dcodes_.view(), parameters_.prototypes, dprobabilities_.view());
  Gemm(context, kYes, kNo, 1.0, probabilities_.view(), dcodes_.view(), 1.0, gradients_.prototypes);
  AddSoftmaxGradient(probabilities_.view(), dprobabilities_.view(), dsimilarities_.view());
}

void UnfusedLpr::CompareBackward(const Context& context) {
  const auto [tokens, hidden, experts, top_k, dimensions] = sizes_;
  const TensorView dsimilarities = dsimilarities_.view();
  if (!published()) {
    Gemm(context, kNo, kNo, 1.0, dsimilarities, points_.view(), 0.0, ddirections_.view());
    Gemm(context, kYes, kNo, 1.0, dsimilarities, directions_.view(), 0.0, dpoints_.view());
    return;
  }
  const auto& kernels = cpu::RowKernels<float>::Get();
  const float* slopes = dsimilarities.cpu<float>().data();
  const TensorView products = products_.view();
  Fill(context, 0.0, ddirections_.view());
  Fill(context, 0.0, dpoints_.view());
  for (int64_t i = 0; i < tokens * experts; ++i) {
    kernels.scale(slopes[i], Row(points_.view(), i % experts), Row(products, i), dimensions);
  }
  for (int64_t i = 0; i < tokens * experts; ++i) {
    kernels.axpy(1.0f, Row(products, i), Row(ddirections_.view(), i / experts), dimensions);
  }
  for (int64_t i = 0; i < tokens * experts; ++i) {
    kernels.scale(slopes[i], Row(directions_.view(), i / experts), Row(products, i), dimensions);
  }
  for (int64_t i = 0; i < tokens * experts; ++i) {
    kernels.axpy(1.0f, Row(products, i), Row(dpoints_.view(), i % experts), dimensions);
  }
}

void UnfusedLpr::DiversityBackward(const Context& context) {
  const routing::LprLossWeights& weights = options_.weights;
  const double tokens = static_cast<double>(sizes_.tokens);
  const double experts = static_cast<double>(sizes_.experts);
  const double token_factor = 4.0 * weights.token_diversity / (tokens * tokens);
  if (published()) {
    Gemm(context, kNo, kNo, token_factor, token_gram_.view(), directions_.view(), 1.0,
         ddirections_.view());
  } else {
    Gemm(context, kNo, kNo, token_factor, directions_.view(), token_gram_.view(), 1.0,
         ddirections_.view());
  }
  Gemm(context, kNo, kNo, 4.0 * weights.prototype_diversity / (experts * experts),
       point_gram_.view(), points_.view(), 1.0, dpoints_.view());
}

void UnfusedLpr::LatentsBackward(const Context& context) {
  AddDirectionsGradient(context, points_.view(), point_inverse_lengths_.view(), dpoints_.view(),
                        gradients_.prototypes);
  const routing::LprLossWeights& weights = options_.weights;
  const auto points = parameters_.prototypes.cpu<float>();
  const auto targets = targets_.view().cpu<float>();
  const float share = static_cast<float>(weights.alignment / static_cast<double>(points.size()));
  for (size_t i = 0; i < points.size(); ++i) {
    const float distance = points[i] - targets[i];
    gradients_.prototypes.cpu<float>()[i] +=
        distance > 0.0f ? share : (distance < 0.0f ? -share : 0.0f);
  }
  Fill(context, 0.0, dmoments_.view());
  AddDirectionsGradient(context, directions_.view(), inverse_lengths_.view(), ddirections_.view(),
                        dmoments_.view());
  const int64_t dimensions = sizes_.dimensions;
  const float factor = static_cast<float>(weights.kl / static_cast<double>(sizes_.tokens));
  for (int64_t t = 0; t < sizes_.tokens; ++t) {
    float* out = Row(dmoments_.view(), t);
    cpu::AddScaledRow(factor, Row(moments_.view(), t), dimensions, out);
    if (!options_.log_variances) continue;
    float* variances = row_.view().cpu<float>().data();
    cpu::ExpRow(1.0f, Row(moments_.view(), t) + dimensions, dimensions, variances);
    for (int64_t d = 0; d < dimensions; ++d) {
      out[dimensions + d] += factor * 0.5f * (variances[d] - 1.0f);
    }
  }
}

void UnfusedLpr::EncodeBackward(const Context& context, const Input& input) {
  const int64_t hidden = sizes_.hidden;
  const auto& kernels = cpu::RowKernels<float>::Get();
  Fill(context, 0.0, gradients_.weight);
  LinearBackward(context, activations_.view(), parameters_.weight, dmoments_.view(),
                 dactivations_.view(), /*accumulate_dx=*/false, gradients_.weight);
  SumRows(context, dmoments_.view(), gradients_.bias);
  for (int64_t t = 0; t < sizes_.tokens; ++t) {
    kernels.silu_product_backward(Row(normalised_.view(), t), ones_.view().cpu<float>().data(),
                                  Row(dactivations_.view(), t), Row(dnormalised_.view(), t),
                                  row_.view().cpu<float>().data(), hidden);
  }
  Fill(context, 0.0, gradients_.gain);
  SumRows(context, dnormalised_.view(), gradients_.shift);
  const float* gain = parameters_.gain.cpu<float>().data();
  float* dgain = gradients_.gain.cpu<float>().data();
  float* xhat = row_.view().cpu<float>().data();
  for (int64_t t = 0; t < sizes_.tokens; ++t) {
    const float* x = Row(input.x, t);
    float* du = Row(dnormalised_.view(), t);
    float* dx = Row(dx_.view(), t);
    const float mean = means_.view().cpu<float>()[static_cast<size_t>(t)];
    const float inverse = inverse_deviations_.view().cpu<float>()[static_cast<size_t>(t)];
    for (int64_t h = 0; h < hidden; ++h) {
      xhat[h] = (x[h] - mean) * inverse;
      dgain[h] += du[h] * xhat[h];
      du[h] *= gain[h];
    }
    const float n = static_cast<float>(hidden);
    const float shift = cpu::DotRow(du, ones_.view().cpu<float>().data(), hidden) / n;
    const float slope = cpu::DotRow(du, xhat, hidden) / n;
    for (int64_t h = 0; h < hidden; ++h) dx[h] = inverse * (du[h] - shift - xhat[h] * slope);
  }
  if (options_.decode) Axpy(context, 1.0, input.dexpert_input, dx_.view());
}

void UnfusedLpr::Run(const Context& context, const Input& input) {
  Encode(context, input.x);
  Compare(context);
  Choose(context);
  Decode(context, input.x);
  Align(context);
  Losses(context);
  Fill(context, 0.0, gradients_.prototypes);
  Fill(context, 0.0, dsimilarities_.view());
  GatesBackward(input.dgates);
  DecodeBackward(context, input.dexpert_input);
  CompareBackward(context);
  DiversityBackward(context);
  LatentsBackward(context);
  EncodeBackward(context, input);
}

}  // namespace equipoise::bench
