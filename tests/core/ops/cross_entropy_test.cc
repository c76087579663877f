#include "core/ops/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "core/ops/reference/cross_entropy.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/test_context.h"

namespace equipoise {
namespace {

using testing_support::AllClose;
using testing_support::CheckGradient;
using testing_support::Epsilon;
using testing_support::EuclideanNorm;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::SetDoubles;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Case {
  int64_t tokens;
  int64_t width;
  int64_t vocabulary;
  int64_t chunk_rows;
  // Of x; logits then have a standard deviation of it times sqrt(width).
  double stddev = 1.0;
  // Every how many rows one is ignored; 0 for none.
  int64_t ignore_every = 4;
};

std::string Describe(const Case& c, DType dtype) {
  return std::string(Name(dtype)) + " T=" + std::to_string(c.tokens) +
         " H=" + std::to_string(c.width) + " V=" + std::to_string(c.vocabulary) +
         " chunk=" + std::to_string(c.chunk_rows);
}

constexpr double kScale = 0.37;

struct Problem {
  Problem(TestContext& test, DType dtype, const Case& c)
      : test(test),
        x(test.Normal(dtype, {c.tokens, c.width}, 1, c.stddev)),
        head(test.Normal(dtype, {c.vocabulary, c.width}, 2)),
        losses(test.Make(DType::kF64, {c.tokens},
                         std::vector<double>(static_cast<size_t>(c.tokens), kNaN))),
        dx(test.Make(dtype, {c.tokens, c.width},
                     std::vector<double>(static_cast<size_t>(c.tokens * c.width), kNaN))),
        dhead(test.Normal(dtype, {c.vocabulary, c.width}, 3)) {
    targets = test.Below(DType::kI32, {c.tokens}, 4, static_cast<uint64_t>(c.vocabulary));
    ids = ToDoubles(targets);
    for (size_t t = 0; c.ignore_every > 0 && t < ids.size();
         t += static_cast<size_t>(c.ignore_every)) {
      ids[t] = kIgnoredTarget;
    }
    SetDoubles(targets, ids);
    options.chunk_rows = c.chunk_rows;
    options.gradient_scale = kScale;
  }
  void Run(TensorView dx_out, TensorView dhead_out) {
    CrossEntropy(test.context(), options, x, head, targets, losses, dx_out, dhead_out);
  }
  reference::CrossEntropyResult Reference() const {
    const std::vector<int32_t> integers(ids.begin(), ids.end());
    return reference::CrossEntropy(ToDoubles(x), ToDoubles(head), integers, x.dim(1), kScale);
  }

  TestContext& test;
  TensorView x, head, losses, dx, dhead, targets;
  std::vector<double> ids;
  CrossEntropyOptions options;
};

// First-order bounds on the errors, as in attention_test.cc: a dot product of rounded vectors errs
// by 2 epsilon |a| |b|, a sum of n terms by 2 sqrt(n) epsilon of the terms' sizes.
class ErrorBounds {
 public:
  // Maxima over the elements of each tensor.
  double losses = 0.0, dx = 0.0, dhead = 0.0;

  ErrorBounds(const Problem& p, const std::vector<double>& dhead_before)
      : epsilon_(Epsilon(p.x.dtype())),
        x_(ToDoubles(p.x)),
        head_(ToDoubles(p.head)),
        width_(static_cast<size_t>(p.x.dim(1))),
        column_sum_(OfSum(p.ids.size())),
        dhead_(static_cast<size_t>(p.head.dim(0)), 0.0) {
    for (size_t t = 0; t < p.ids.size(); ++t) {
      if (p.ids[t] >= 0) AddRow(Row(x_, t), static_cast<size_t>(p.ids[t]));
    }
    const int64_t chunks = 1 + p.x.dim(0) / p.options.chunk_rows;
    dhead = MaxAbs(dhead_) + static_cast<double>(chunks) * epsilon_ * MaxAbs(dhead_before);
  }

 private:
  using Vector = std::span<const double>;

  Vector Row(const std::vector<double>& values, size_t row) const {
    return Vector(values).subspan(row * width_, width_);
  }
  double OfSum(size_t terms) const {
    return 2.0 * epsilon_ * std::sqrt(static_cast<double>(terms));
  }

  struct Entry {
    double p;
    double error;  // of its logit's distance from the row's largest
  };

  std::vector<Entry> SoftmaxOf(Vector x) const {
    std::vector<Entry> row;
    for (size_t v = 0; v < dhead_.size(); ++v) {
      const Vector w = Row(head_, v);
      row.push_back({std::inner_product(x.begin(), x.end(), w.begin(), 0.0),
                     2.0 * epsilon_ * EuclideanNorm(x) * EuclideanNorm(w)});
    }
    double max = row[0].p, sum = 0.0;
    for (const Entry& entry : row) max = std::max(max, entry.p);
    for (Entry& entry : row) {
      entry.error += epsilon_ * (max - entry.p);
      entry.p = std::exp(entry.p - max);
      sum += entry.p;
    }
    for (Entry& entry : row) entry.p /= sum;
    return row;
  }

  void AddRow(Vector x, size_t target) {
    const std::vector<Entry> row = SoftmaxOf(x);
    const double row_sum = OfSum(row.size());
    // Exponentials are summed in segments of at most 1024; theirs, their sum's and the scale's
    // rounding are relative errors of a probability.
    const double common = OfSum(std::min<size_t>(row.size(), 1024)) + 8.0 * epsilon_;
    double mean = 0.0;
    for (const Entry& entry : row) mean += entry.p * entry.error;
    losses = std::max(losses, mean + row[target].error + common);
    double dx_error = 0.0;
    for (size_t v = 0; v < row.size(); ++v) {
      const auto [p, error] = row[v];
      // p moves with its own logit against the others', so not at all where it is all there is.
      const double others = error * (1.0 - p) + (mean - p * error);
      const double d = kScale * std::fabs(p - (v == target ? 1.0 : 0.0));
      const double d_error = kScale * (p * (others + common) + epsilon_ * p);
      dx_error += (d_error + row_sum * d) * MaxAbs(Row(head_, v));
      dhead_[v] += (d_error + column_sum_ * d) * MaxAbs(x);
    }
    dx = std::max(dx, dx_error);
  }

  double epsilon_;
  std::vector<double> x_, head_;
  size_t width_;
  double column_sum_;
  // For each row of the head; the bound is the same for all its features.
  std::vector<double> dhead_;
};

class CrossEntropyTest : public ::testing::TestWithParam<Case> {};

TEST_P(CrossEntropyTest, MatchesReference) {
  const Case c = GetParam();
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    SCOPED_TRACE(Describe(c, dtype));
    TestContext test;
    Problem p(test, dtype, c);
    auto expected = p.Reference();
    const std::vector<double> dhead_before = ToDoubles(p.dhead);
    for (size_t i = 0; i < dhead_before.size(); ++i) expected.dhead[i] += dhead_before[i];
    const ErrorBounds tolerance(p, dhead_before);
    p.Run(p.dx, p.dhead);
    EXPECT_TRUE(AllClose(ToDoubles(p.losses), expected.losses, tolerance.losses)) << "losses";
    EXPECT_TRUE(AllClose(ToDoubles(p.dx), expected.dx, tolerance.dx)) << "dx";
    EXPECT_TRUE(AllClose(ToDoubles(p.dhead), expected.dhead, tolerance.dhead)) << "dhead";
    EXPECT_EQ(test.context().scratch->mark(), 0u);
    EXPECT_LE(test.context().scratch->high_water_bytes(),
              SizeOf(dtype) * static_cast<size_t>(c.chunk_rows * c.vocabulary) + 63);
  }
}

TEST_P(CrossEntropyTest, GradientsDoNotChangeTheLossOrEachOther) {
  TestContext test;
  Problem p(test, DType::kF32, GetParam());
  p.Run({}, {});
  const std::vector<double> losses = ToDoubles(p.losses), dhead_before = ToDoubles(p.dhead);
  p.Run(p.dx, {});
  const std::vector<double> dx = ToDoubles(p.dx);
  EXPECT_TRUE(SameBits(ToDoubles(p.losses), losses));
  EXPECT_TRUE(SameBits(ToDoubles(p.dhead), dhead_before));
  p.Run({}, p.dhead);
  const std::vector<double> dhead = ToDoubles(p.dhead);
  SetDoubles(p.dhead, dhead_before);
  p.Run(p.dx, p.dhead);
  EXPECT_TRUE(SameBits(ToDoubles(p.losses), losses));
  EXPECT_TRUE(SameBits(ToDoubles(p.dx), dx));
  EXPECT_TRUE(SameBits(ToDoubles(p.dhead), dhead));
}

// Chunks of one row, that end with the rows, one past, and larger than all; V prime; one logit.
INSTANTIATE_TEST_SUITE_P(Shapes, CrossEntropyTest,
                         ::testing::Values(Case{0, 3, 5, 4}, Case{1, 1, 1, 256}, Case{1, 4, 2, 1},
                                           Case{7, 5, 53, 1}, Case{12, 8, 257, 4},
                                           Case{13, 8, 257, 4}, Case{11, 6, 101, 256},
                                           Case{9, 17, 1031, 5}, Case{5, 3, 2053, 2, 1.0, 0},
                                           Case{6, 4, 19, 3, 1.0, 1}, Case{16, 32, 61, 7, 1500.0}));

TEST(CrossEntropyGradientTest, AgreesWithCentralDifferences) {
  TestContext test;
  Problem p(test, DType::kF64, Case{5, 3, 7, 2});
  SetDoubles(p.dhead, std::vector<double>(21, 0.0));
  p.Run(p.dx, p.dhead);
  const auto check = [&](TensorView input, TensorView gradient) {
    const std::vector<double> point = ToDoubles(input);
    const auto function = [&](std::span<const double> values) {
      SetDoubles(input, values);
      p.Run({}, {});
      double sum = 0.0;
      for (const double loss : ToDoubles(p.losses)) sum += kScale * loss;
      return sum;
    };
    const auto result = CheckGradient(function, ToDoubles(gradient), point);
    SetDoubles(input, point);
    return result;
  };
  EXPECT_TRUE(check(p.x, p.dx)) << "dx";
  EXPECT_TRUE(check(p.head, p.dhead)) << "dhead";
}

TEST(CrossEntropyTest, HugeLogits) {
  // Logits of +-1e4: the loss is their distance, and the gradient that of a certain wrong answer.
  TestContext test;
  const TensorView x = test.Make(DType::kF32, {2, 1}, std::vector<double>{1e4, 1e4});
  const TensorView head = test.Make(DType::kF32, {2, 1}, std::vector<double>{1.0, -1.0});
  const TensorView targets = test.Make(DType::kI32, {2}, std::vector<double>{1.0, 0.0});
  const TensorView losses = test.Zeros(DType::kF64, {2});
  const TensorView dx = test.Zeros(DType::kF32, {2, 1});
  CrossEntropy(test.context(), {}, x, head, targets, losses, dx, {});
  EXPECT_TRUE(SameBits(ToDoubles(losses), std::vector<double>{2e4, 0.0}));
  EXPECT_TRUE(SameBits(ToDoubles(dx), std::vector<double>{2.0, 0.0}));
}

TEST(CrossEntropyTest, UniformLogitsCostTheLogarithmOfTheVocabulary) {
  TestContext test;
  const TensorView x = test.Zeros(DType::kF32, {3, 4});
  const TensorView head = test.Normal(DType::kF32, {5003, 4}, 1);
  const TensorView targets = test.Below(DType::kI32, {3}, 2, 5003);
  const TensorView losses = test.Zeros(DType::kF64, {3});
  CrossEntropy(test.context(), {}, x, head, targets, losses, {}, {});
  // 5003 ones, summed in floats without rounding.
  EXPECT_TRUE(SameBits(ToDoubles(losses), std::vector<double>(3, std::log(5003.0))));
}

TEST(CrossEntropyTest, NaNShowsInTheLoss) {
  TestContext test;
  Problem p(test, DType::kF32, Case{3, 2, 40, 2, 1.0, 0});
  // A head row that is the target of no token.
  int64_t row = 0;
  while (std::count(p.ids.begin(), p.ids.end(), static_cast<double>(row)) > 0) ++row;
  SetDoubles(p.head.Rows(row, row + 1), std::vector<double>{kNaN, 1.0});
  p.Run({}, {});
  for (const double loss : ToDoubles(p.losses)) EXPECT_TRUE(std::isnan(loss));
}

}  // namespace
}  // namespace equipoise
