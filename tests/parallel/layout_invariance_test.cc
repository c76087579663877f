// Layout is not allowed to matter: the losses of 30 steps are the same for every number of ranks,
// every way to shard the experts, every number of accumulation steps, and with recompute.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "gtest/gtest.h"
#include "parallel/train_step.h"
#include "tests/parallel/tiny_model.h"

namespace equipoise::parallel {
namespace {

constexpr int kSteps = 30;
constexpr int64_t kSequences = 28;
constexpr int kDomains = 3;

struct Layout {
  int ranks = 1;
  int expert_parallel = 1;
  int accumulation = 1;
  bool recompute = false;
  std::vector<int> owners;

  std::string ToString() const {
    return absl::StrCat("ranks ", ranks, ", expert_parallel ", expert_parallel, ", accumulation ",
                        accumulation, recompute ? ", recompute" : "",
                        owners.empty() ? "" : ", placement table");
  }
};

// Every layout but the reference, which is one rank, one micro-batch, no recompute.
std::vector<Layout> Layouts() {
  std::vector<Layout> layouts;
  for (const int ranks : {1, 2, 3, 4, 7}) {
    for (int expert_parallel = 1; expert_parallel <= ranks; ++expert_parallel) {
      if (ranks % expert_parallel != 0) continue;
      for (const int accumulation : {1, 2, 4}) {
        layouts.push_back({ranks, expert_parallel, accumulation, accumulation == 2, {}});
      }
    }
  }
  layouts.push_back({1, 1, 1, true, {}});
  layouts.push_back({4, 4, 1, true, {}});
  // Experts in no order, and an owner without any.
  layouts.push_back({3, 3, 2, false, {2, 0, 2, 2, 0, 0, 2, 0}});
  return layouts;
}

struct Trace {
  std::vector<double> losses;
  std::vector<double> gradient_norms;
  std::vector<double> counts;  // of the last step, all layers
};

Trace Train(const Layout& layout, DType dtype, LoadSource load_source) {
  TrainOptions options = testing_support::TinyOptions(dtype, kSequences);
  options.layout.expert_parallel = layout.expert_parallel;
  options.layout.expert_owner = layout.owners;
  options.layout.recompute = layout.recompute;
  options.batch.accumulation_steps = layout.accumulation;
  options.batch.load_source = load_source;
  const SampleSource source = testing_support::SyntheticText(options.model.vocabulary, kDomains);
  Trace run;
  const absl::Status status =
      comm::RunRanks(layout.ranks, [&](comm::Communicator& world) -> absl::Status {
        const std::unique_ptr<Device> device = MakeCpuDevice();
        EQ_ASSIGN_OR_RETURN(auto step, TrainStep::Create(*device, world, options, kDomains));
        for (int i = 1; i <= kSteps; ++i) {
          EQ_ASSIGN_OR_RETURN(const StepResult result, step->Run(source, i));
          if (world.rank() != 0) continue;
          run.losses.push_back(result.loss);
          run.gradient_norms.push_back(result.gradient_norm);
          if (i < kSteps) continue;
          for (const MoeLayerResult& layer : result.layers) {
            run.counts.insert(run.counts.end(), layer.sums.begin(), layer.sums.begin() + 8);
          }
        }
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << layout.ToString() << ": " << status;
  return run;
}

double WorstRelative(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = 0.0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]) / std::abs(b[i]));
  }
  return worst;
}

// Compares all layouts to the reference; `tolerance` is relative, for losses.
void ExpectInvariant(DType dtype, LoadSource load_source, double tolerance) {
  const Trace reference = Train({}, dtype, load_source);
  ASSERT_EQ(reference.losses.size(), static_cast<size_t>(kSteps));
  EXPECT_LT(reference.losses.back(), 0.95 * reference.losses.front()) << "nothing was learnt";
  double worst = 0.0;
  double worst_norm = 0.0;
  std::string worst_layout = "none";
  for (const Layout& layout : Layouts()) {
    if (load_source == LoadSource::kCurrentStep && layout.accumulation > 1) continue;
    const Trace run = Train(layout, dtype, load_source);
    ASSERT_EQ(run.losses.size(), reference.losses.size()) << layout.ToString();
    const double difference = WorstRelative(run.losses, reference.losses);
    EXPECT_LE(difference, tolerance) << layout.ToString();
    if (dtype == DType::kF64) {
      EXPECT_EQ(run.counts, reference.counts) << layout.ToString();
    }
    worst_norm = std::max(worst_norm, WorstRelative(run.gradient_norms, reference.gradient_norms));
    if (difference >= worst) {
      worst = difference;
      worst_layout = layout.ToString();
    }
  }
  std::printf("%s: worst relative difference of a loss %.3g (%s), of a gradient norm %.3g\n",
              Name(dtype), worst, worst_layout.c_str(), worst_norm);
}

TEST(LayoutInvariance, LossesOfThePreviousStepsLoadInFloat) {
  ExpectInvariant(DType::kF32, LoadSource::kPreviousStep, 1e-5);
}

TEST(LayoutInvariance, LossesOfTheCurrentLoadInFloat) {
  ExpectInvariant(DType::kF32, LoadSource::kCurrentStep, 1e-5);
}

TEST(LayoutInvariance, LossesOfThePreviousStepsLoadInDouble) {
  ExpectInvariant(DType::kF64, LoadSource::kPreviousStep, 1e-12);
}

TEST(LayoutInvariance, LossesOfTheCurrentLoadInDouble) {
  ExpectInvariant(DType::kF64, LoadSource::kCurrentStep, 1e-12);
}

TEST(LayoutInvariance, SameLayoutGivesTheSameBits) {
  const Layout layout = {4, 2, 2, true, {}};
  const Trace first = Train(layout, DType::kF32, LoadSource::kAuto);
  const Trace second = Train(layout, DType::kF32, LoadSource::kAuto);
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_EQ(first.gradient_norms, second.gradient_norms);
}

TEST(LayoutInvariance, RecomputeChangesNoBit) {
  const Trace plain = Train({2, 2, 1, false, {}}, DType::kF32, LoadSource::kAuto);
  const Trace again = Train({2, 2, 1, true, {}}, DType::kF32, LoadSource::kAuto);
  EXPECT_EQ(plain.losses, again.losses);
  EXPECT_EQ(plain.gradient_norms, again.gradient_norms);
}

}  // namespace
}  // namespace equipoise::parallel
