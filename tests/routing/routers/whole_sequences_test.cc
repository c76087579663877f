// Routers that choose for whole sequences: sequences of any length beside tiles of 128 tokens, each
// chosen for by itself, and every token's features read once.

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "routing/logits.h"
#include "routing/score_router.h"
#include "routing/selection.h"
#include "routing/sequence_selector.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::AllClose;
using testing_support::ToDoubles;

constexpr int64_t kHidden = 12;
constexpr int kExperts = 6;
constexpr int kTopK = 2;

std::vector<double> Draw(int64_t size, const char* what) {
  const Philox philox(StreamKey(5, what));
  std::vector<double> values(static_cast<size_t>(size));
  for (size_t i = 0; i < values.size(); ++i) values[i] = philox.Normal(i);
  return values;
}

RouterOptions OptionsWith(const std::string& kind, bool quota) {
  RouterOptions options = OptionsOf(kind, kHidden, kExperts, kTopK);
  if (kind == "lpr") options.settings = LprSettings("GEOMETRIC");
  options.z_loss = {0.1};
  options.locality.num_nodes = quota ? 2 : 1;
  options.locality.quota.outgoing_share = quota ? 0.4 : 1.0;
  return options;
}

struct Case {
  const char* kind;
  bool quota;
};

void PrintTo(const Case& router, std::ostream* out) {
  *out << router.kind << (router.quota ? " with a quota" : "");
}

class SequenceLengthTest : public ::testing::TestWithParam<std::tuple<Case, int64_t>> {};

TEST_P(SequenceLengthTest, EachIsChosenForByItself) {
  const auto [router, length] = GetParam();
  const RouterOptions options = OptionsWith(router.kind, router.quota);
  // Home nodes take turns, so that a pair of sequences is alike wherever it stands.
  constexpr int64_t kPairs = 3;
  const int64_t pair = 2 * length;
  const auto x = Draw(kPairs * pair * kHidden, "x");
  RouterFixture whole(options, DType::kF64);
  const RouterPass all = whole.MakePass(x, length);
  whole.Forward(all);
  const int64_t copies = static_cast<int64_t>(all.ids().size()) / (kPairs * pair);
  const auto dgates = Draw(kPairs * pair * copies, "dgates");
  whole.Backward(all, dgates, all.sums(), kPairs * pair, kPairs * pair);
  const auto dx = ToDoubles(all.dx);
  RouterFixture alone(options, DType::kF64);
  for (int64_t i = 0; i < kPairs; ++i) {
    const auto part = [&](const auto& values, int64_t width) {
      return std::vector(values.begin() + i * pair * width,
                         values.begin() + (i + 1) * pair * width);
    };
    const RouterPass one = alone.MakePass(part(x, kHidden), length, /*first_token=*/i * pair);
    alone.Forward(one);
    EXPECT_EQ(one.ids(), part(all.ids(), copies));
    EXPECT_TRUE(AllClose(one.gates(), part(all.gates(), copies), 1e-13));
    alone.Backward(one, part(dgates, copies), all.sums(), kPairs * pair, kPairs * pair);
    EXPECT_TRUE(AllClose(ToDoubles(one.dx), part(dx, kHidden), 1e-12));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, SequenceLengthTest,
    ::testing::Combine(::testing::Values(Case{"expert_choice", false}, Case{"sinkhorn", false},
                                         Case{"token_resonance", false}, Case{"top_k", true},
                                         Case{"lpr", true}),
                       ::testing::Values(1, 7, 63, 64, 65, 128, 129, 300)));

// Counts the rows it is asked for.
class CountingLogits final : public LogitSource {
 public:
  CountingLogits(std::unique_ptr<LogitSource> logits, int64_t* rows)
      : logits_(std::move(logits)), rows_(rows) {}
  void Forward(const Context& context, ConstTensorView x, TensorView logits) const override {
    *rows_ += x.dim(0);
    logits_->Forward(context, x, logits);
  }
  void Backward(const Context& context, ConstTensorView x, ConstTensorView dlogits,
                TensorView dx) const override {
    logits_->Backward(context, x, dlogits, dx);
  }

 private:
  const std::unique_ptr<LogitSource> logits_;
  int64_t* const rows_;
};

class BestOfSequence final : public SequenceSelector {
 public:
  int64_t max_copies() const override { return kTopK; }
  void Select(const Context& context, const SequenceScores& sequence,
              TensorView expert_ids) const override {
    SelectTopK(context, sequence.logits, expert_ids);
  }
};

int64_t rows_read = 0;

absl::StatusOr<std::unique_ptr<Router>> MakeCounting(const RouterOptions& options,
                                                     ParameterRegistry& parameters) {
  ScoreRouterParts parts;
  parts.logits =
      std::make_unique<CountingLogits>(MakeLinearLogits(options, parameters), &rows_read);
  if (!options.locality.quota.enabled()) parts.sequence = std::make_unique<BestOfSequence>();
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

class OnePassTest : public ::testing::TestWithParam<std::tuple<bool, int64_t>> {};

TEST_P(OnePassTest, ForwardReadsEveryTokenOnce) {
  const auto [quota, length] = GetParam();
  RouterFixture fixture(OptionsWith("top_k", quota), DType::kF32, /*key=*/1, MakeCounting);
  rows_read = 0;
  fixture.NormalPass(3 * length, length, /*key=*/2);
  EXPECT_EQ(rows_read, 3 * length);
}

INSTANTIATE_TEST_SUITE_P(All, OnePassTest,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::Values(1, 50, 128, 200, 256)));

}  // namespace
}  // namespace equipoise::routing
