#include "parallel/model_flops.h"

#include <algorithm>
#include <chrono>

#include "comm/collectives.h"
#include "comm/host_mirror.h"
#include "core/base/status_macros.h"
#include "core/device/workspace.h"
#include "core/ops/elementwise.h"
#include "core/ops/gemm.h"

namespace equipoise::parallel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kExtent = 512;
constexpr int kRounds = 5;

// FLOP/s of this rank.
double TimeProduct(const Context& context, ConstTensorView a, ConstTensorView b, TensorView c) {
  const auto start = Clock::now();
  Gemm(context, Transpose::kNo, Transpose::kYes, 1.0, a, b, 0.0, c);
  if (context.stream != nullptr) context.stream->Synchronize();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return 2.0 * kExtent * kExtent * kExtent / seconds;
}

}  // namespace

double TrainingFlopsPerToken(const ModelOptions& model, int64_t sequence_length) {
  const auto hidden = static_cast<double>(model.hidden);
  const auto query_width = static_cast<double>(model.num_heads * model.head_dim);
  const auto key_width = static_cast<double>(model.num_kv_heads * model.head_dim);
  const double attention = 2.0 * hidden * (2.0 * query_width + 2.0 * key_width) +
                           4.0 * static_cast<double>(sequence_length) * query_width / 2.0;
  const double dense = 6.0 * hidden * static_cast<double>(model.dense_width);
  const routing::RouterOptions& router = model.moe.router;
  const double experts = 6.0 * hidden * static_cast<double>(model.moe.expert_width) * router.top_k +
                         6.0 * hidden * static_cast<double>(model.moe.shared_expert_width);
  const double moe = experts + 2.0 * hidden * router.num_experts;
  const double head = 2.0 * hidden * static_cast<double>(model.vocabulary);
  const int num_dense = std::min(model.num_dense_layers, model.num_layers);
  return 3.0 * (model.num_layers * attention + num_dense * dense +
                (model.num_layers - num_dense) * moe + head);
}

absl::StatusOr<double> MeasureGemmRate(comm::Communicator& world, const Context& context) {
  const WorkspaceFrame frame(*context.scratch);
  const Shape square = {kExtent, kExtent};
  const TensorView a = context.scratch->Allocate(DType::kF32, square);
  const TensorView b = context.scratch->Allocate(DType::kF32, square);
  const TensorView c = context.scratch->Allocate(DType::kF32, square);
  const TensorView sum = context.scratch->Allocate(DType::kF64, {1});
  Fill(context, 0.5, a);
  Fill(context, 0.25, b);
  const comm::WaitOptions together = {.name = "measuring the rate of matrix products"};
  EQ_RETURN_IF_ERROR(comm::Barrier(world, context, together));
  double best = 0.0;
  for (int round = 0; round < kRounds; ++round) {
    best = std::max(best, TimeProduct(context, a, b, c));
  }
  comm::MirrorToDevice<double>(context, std::span<const double>(&best, 1), sum);
  EQ_RETURN_IF_ERROR(comm::AllReduce(world, context, sum, comm::ReduceOp::kSum, together));
  return comm::HostMirror<double>(context, sum)[0];
}

}  // namespace equipoise::parallel
