// The whole model's gradient, auxiliary losses included, against central differences in double
// precision: every parameter of a small model, one element in a few.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/self/communicator.h"
#include "core/device/device.h"
#include "gtest/gtest.h"
#include "parallel/train_step.h"
#include "tests/parallel/tiny_model.h"
#include "tests/support/gradient_check.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

using testing_support::SetDoubles;
using testing_support::ToDoubles;

void CheckEveryParameter(const TrainOptions& options) {
  const auto device = MakeCpuDevice();
  const auto world = comm::MakeSelfCommunicator();
  auto created = TrainStep::Create(*device, *world, options, 1);
  ASSERT_TRUE(created.ok()) << created.status();
  TrainStep& step = **created;
  const SampleSource source = testing_support::SyntheticText(options.model.vocabulary, 1);
  const auto loss = [&] {
    const auto result = step.ComputeGradient(source, 1);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? result->loss : 0.0;
  };
  loss();
  std::vector<std::vector<double>> gradients;
  for (const auto& parameter : step.parameters().parameters()) {
    gradients.push_back(ToDoubles(parameter->gradient()));
  }
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Parameter& parameter = *step.parameters().parameters()[i];
    const std::vector<double> point = ToDoubles(parameter.value());
    const auto function = [&](std::span<const double> values) {
      SetDoubles(parameter.value(), values);
      return loss();
    };
    testing_support::GradientCheckOptions check;
    // Small steps: a larger one would change which experts a token takes.
    check.step = 1e-5;
    check.stride = point.size() / 4 + 1;
    EXPECT_TRUE(testing_support::CheckGradient(function, gradients[i], point, check))
        << parameter.spec().parts[0].name;
    SetDoubles(parameter.value(), point);
  }
}

TrainOptions SmallOptions() {
  TrainOptions options = testing_support::TinyOptions(DType::kF64, /*sequences=*/3);
  options.batch.sequence_length = 7;
  options.model.moe.router.balance_loss.coefficient = 0.3;
  options.model.moe.router.z_loss.coefficient = 0.1;
  return options;
}

TEST(ModelGradient, SoftmaxRouter) { CheckEveryParameter(SmallOptions()); }

TEST(ModelGradient, SigmoidRouterWithoutRenormalisation) {
  TrainOptions options = SmallOptions();
  options.model.moe.router.settings.Set("score", std::string("SIGMOID"));
  options.model.moe.router.settings.Set("renormalise", false);
  options.model.moe.router.settings.Set("scaling_factor", 2.5);
  CheckEveryParameter(options);
}

TEST(ModelGradient, BalanceLossPerSequence) {
  TrainOptions options = SmallOptions();
  options.model.moe.router.balance_loss.scope = routing::LossScope::kSequence;
  CheckEveryParameter(options);
}

TEST(ModelGradient, TiedEmbeddingsAndRecompute) {
  TrainOptions options = SmallOptions();
  options.model.tied_embeddings = true;
  options.model.qk_norm = false;
  options.layout.recompute = true;
  CheckEveryParameter(options);
}

TEST(ModelGradient, Capacity) {
  TrainOptions options = SmallOptions();
  options.model.moe.router.capacity.factor = 1.0;
  CheckEveryParameter(options);
}

TEST(ModelGradient, DenseLayersAlone) {
  TrainOptions options = SmallOptions();
  options.model.num_dense_layers = options.model.num_layers;
  options.model.moe.router.num_experts = 0;
  CheckEveryParameter(options);
}

TEST(ModelGradient, HashRouter) {
  TrainOptions options = SmallOptions();
  options.model.moe.router.kind = "hash";
  options.model.moe.router.balance_loss.coefficient = 0.0;
  options.model.moe.router.z_loss.coefficient = 0.0;
  CheckEveryParameter(options);
}

}  // namespace
}  // namespace equipoise::parallel
