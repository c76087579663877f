#include "core/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "core/ops/reference/attention.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/test_context.h"

namespace equipoise {
namespace {

using reference::AttentionShape;
using testing_support::AllClose;
using testing_support::CheckGradient;
using testing_support::DotTolerance;
using testing_support::Epsilon;
using testing_support::EuclideanNorm;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::SetDoubles;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Case {
  AttentionShape shape;
  // Of queries and keys; scores then have a standard deviation of its square.
  double stddev = 1.0;
};

std::string Describe(const Case& c, DType dtype) {
  const AttentionShape& s = c.shape;
  return std::string(Name(dtype)) + " B=" + std::to_string(s.num_sequences) +
         " S=" + std::to_string(s.sequence_length) + " Q=" + std::to_string(s.query_heads) +
         " KV=" + std::to_string(s.kv_heads) + " D=" + std::to_string(s.head_dim) +
         " stddev=" + std::to_string(c.stddev);
}

// Inputs, outputs and gradients of one case, the outputs full of NaN before they are written.
struct Problem {
  Problem(TestContext& test, DType dtype, const Case& c)
      : test(test), dtype(dtype), shape(c.shape) {
    const int64_t rows = shape.num_sequences * shape.sequence_length;
    const Shape queries = {rows, shape.query_heads, shape.head_dim};
    const Shape keys = {rows, shape.kv_heads, shape.head_dim};
    q = test.Normal(dtype, queries, 1, c.stddev);
    k = test.Normal(dtype, keys, 2, c.stddev);
    v = test.Normal(dtype, keys, 3);
    dout = test.Normal(dtype, queries, 4);
    out = Poisoned(queries);
    log_sum_exp = Poisoned({rows, shape.query_heads});
    dq = Poisoned(queries);
    dk = Poisoned(keys);
    dv = Poisoned(keys);
  }

  TensorView Poisoned(const Shape& extents) {
    const std::vector<double> nans(static_cast<size_t>(extents.num_elements()), kNaN);
    return test.Make(dtype, extents, nans);
  }
  void Forward() {
    AttentionForward(test.context(), shape.sequence_length, q, k, v, out, log_sum_exp);
  }
  void Backward() {
    AttentionBackward(test.context(), shape.sequence_length, {q, k, v, out, log_sum_exp}, dout, dq,
                      dk, dv);
  }

  TestContext& test;
  DType dtype;
  AttentionShape shape;
  TensorView q, k, v, dout, out, log_sum_exp, dq, dk, dv;
};

// First-order bounds on the errors, summed along the paths they take. A dot product of rounded
// vectors errs by 2 epsilon |a| |b|, a sum of n terms by 2 sqrt(n) epsilon of the terms' sizes.
class ErrorBounds {
 public:
  // Maxima over the elements of each tensor.
  double out = 0.0, log_sum_exp = 0.0, dq = 0.0, dk = 0.0, dv = 0.0;

  ErrorBounds(const Problem& p, const reference::AttentionOutputs& exact)
      : shape_(p.shape),
        epsilon_(Epsilon(p.dtype)),
        scale_(1.0 / std::sqrt(static_cast<double>(p.shape.head_dim))),
        q_(ToDoubles(p.q)),
        k_(ToDoubles(p.k)),
        v_(ToDoubles(p.v)),
        dout_(ToDoubles(p.dout)),
        exact_(exact),
        dk_(k_.size(), 0.0),
        dv_(v_.size(), 0.0) {
    const int64_t rows = shape_.num_sequences * shape_.sequence_length;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t head = 0; head < shape_.query_heads; ++head) AddRow(i, head);
    }
    dk = MaxAbs(dk_);
    dv = MaxAbs(dv_);
  }

 private:
  using Vector = std::span<const double>;

  Vector QueryRow(const std::vector<double>& values, int64_t i, int64_t head) const {
    return Vector(values).subspan(
        static_cast<size_t>((i * shape_.query_heads + head) * shape_.head_dim),
        static_cast<size_t>(shape_.head_dim));
  }
  size_t KvOffset(int64_t j, int64_t head) const {
    const int64_t kv_head = head / (shape_.query_heads / shape_.kv_heads);
    return static_cast<size_t>((j * shape_.kv_heads + kv_head) * shape_.head_dim);
  }
  Vector KvRow(const std::vector<double>& values, int64_t j, int64_t head) const {
    return Vector(values).subspan(KvOffset(j, head), static_cast<size_t>(shape_.head_dim));
  }
  double OfSum(int64_t terms) const {
    return 2.0 * epsilon_ * std::sqrt(static_cast<double>(terms));
  }
  static double Dot(Vector a, Vector b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  }

  struct Key {
    int64_t j;
    double p, p_error;  // relative
    double dp, dp_error;
  };

  // The probabilities and their gradients that query (i, head) gives to its keys.
  std::vector<Key> KeysOf(int64_t i, int64_t head) {
    const Vector q = QueryRow(q_, i, head), dout = QueryRow(dout_, i, head);
    const double lse = exact_.log_sum_exp[static_cast<size_t>(i * shape_.query_heads + head)];
    const double q_norm = scale_ * EuclideanNorm(q);
    std::vector<Key> keys;
    double k_norm = 0.0;  // mean under p
    for (int64_t j = i / shape_.sequence_length * shape_.sequence_length; j <= i; ++j) {
      const Vector k = KvRow(k_, j, head), v = KvRow(v_, j, head);
      const double distance = scale_ * Dot(q, k) - lse;
      keys.push_back({j, std::exp(distance), epsilon_ * std::fabs(distance), Dot(dout, v),
                      2.0 * epsilon_ * EuclideanNorm(dout) * EuclideanNorm(v)});
      k_norm += keys.back().p * EuclideanNorm(k);
    }
    // Of the log-sum-exp: that of the scores in it, of the sum, of storing it.
    const double row_error = 2.0 * epsilon_ * q_norm * k_norm + epsilon_ * std::fabs(lse) +
                             OfSum(static_cast<int64_t>(keys.size())) + 8.0 * epsilon_;
    log_sum_exp = std::max(log_sum_exp, row_error);
    for (Key& key : keys) {
      key.p_error += row_error + 2.0 * epsilon_ * q_norm * EuclideanNorm(KvRow(k_, key.j, head));
    }
    return keys;
  }

  void AddRow(int64_t i, int64_t head) {
    const std::vector<Key> keys = KeysOf(i, head);
    const Vector q = QueryRow(q_, i, head), dout = QueryRow(dout_, i, head);
    const Vector y = QueryRow(exact_.out, i, head);
    const int64_t group = shape_.query_heads / shape_.kv_heads;
    const double row_sum = OfSum(static_cast<int64_t>(keys.size()));
    const double column_sum = OfSum(shape_.sequence_length * group);
    // delta = <dout, y>; y errs with the probabilities, about itself since they sum to one.
    const double delta = Dot(dout, y);
    double delta_error = 2.0 * epsilon_ * EuclideanNorm(dout) * EuclideanNorm(y);
    std::vector<double> y_error(y.size(), 0.0);
    for (const Key& key : keys) {
      delta_error +=
          key.p * key.p_error * std::fabs(key.dp - delta) + row_sum * key.p * std::fabs(key.dp);
      const Vector v = KvRow(v_, key.j, head);
      for (size_t d = 0; d < y.size(); ++d) {
        y_error[d] += key.p * (key.p_error * std::fabs(v[d] - y[d]) + row_sum * std::fabs(v[d]));
      }
    }
    out = std::max(out, MaxAbs(y_error));
    double dq_error = 0.0;
    for (const Key& key : keys) {
      const double ds = scale_ * key.p * std::fabs(key.dp - delta);
      const double ds_error =
          ds * (key.p_error + 4.0 * epsilon_) + scale_ * key.p * (key.dp_error + delta_error);
      dq_error += (ds_error + row_sum * ds) * MaxAbs(KvRow(k_, key.j, head));
      const size_t at = KvOffset(key.j, head);
      dk_[at] += (ds_error + column_sum * ds) * MaxAbs(q);
      dv_[at] += key.p * (key.p_error + column_sum) * MaxAbs(dout);
    }
    dq = std::max(dq, dq_error);
  }

  AttentionShape shape_;
  double epsilon_, scale_;
  std::vector<double> q_, k_, v_, dout_;
  const reference::AttentionOutputs& exact_;
  // For the first feature of each key; the bound is the same for all.
  std::vector<double> dk_, dv_;
};

void ExpectMatchesReference(const Case& c, DType dtype) {
  SCOPED_TRACE(Describe(c, dtype));
  TestContext test;
  Problem p(test, dtype, c);
  p.Forward();
  p.Backward();
  const std::vector<double> q = ToDoubles(p.q), k = ToDoubles(p.k), v = ToDoubles(p.v);
  const auto forward = reference::AttentionForward(c.shape, {q, k, v});
  const auto backward = reference::AttentionBackward(c.shape, {q, k, v}, ToDoubles(p.dout));
  const ErrorBounds tolerance(p, forward);
  EXPECT_TRUE(AllClose(ToDoubles(p.out), forward.out, tolerance.out)) << "out";
  EXPECT_TRUE(AllClose(ToDoubles(p.log_sum_exp), forward.log_sum_exp, tolerance.log_sum_exp))
      << "log_sum_exp";
  EXPECT_TRUE(AllClose(ToDoubles(p.dq), backward.dq, tolerance.dq)) << "dq";
  EXPECT_TRUE(AllClose(ToDoubles(p.dk), backward.dk, tolerance.dk)) << "dk";
  EXPECT_TRUE(AllClose(ToDoubles(p.dv), backward.dv, tolerance.dv)) << "dv";
  EXPECT_EQ(test.context().scratch->mark(), 0u);
}

class AttentionTest : public ::testing::TestWithParam<Case> {};

TEST_P(AttentionTest, MatchesReference) {
  ExpectMatchesReference(GetParam(), DType::kF32);
  ExpectMatchesReference(GetParam(), DType::kF64);
}

// Blocks are 64 queries by 256 keys: lengths on both sides of both, and not multiples of a vector.
INSTANTIATE_TEST_SUITE_P(Shapes, AttentionTest,
                         ::testing::Values(Case{{0, 5, 2, 1, 4}},     // no rows
                                           Case{{1, 1, 1, 1, 1}},     // one of everything
                                           Case{{3, 1, 6, 2, 2}},     // each token alone
                                           Case{{2, 7, 4, 4, 6}},     // no grouping
                                           Case{{2, 7, 6, 2, 8}},     // three queries a key
                                           Case{{2, 13, 5, 1, 3}},    // all queries, one key
                                           Case{{1, 64, 2, 1, 16}},   // a block exactly
                                           Case{{2, 65, 2, 2, 5}},    // one past
                                           Case{{1, 256, 1, 1, 2}},   // a key block exactly
                                           Case{{1, 257, 3, 1, 7}},   // one past
                                           Case{{1, 331, 2, 1, 33}},  // both partial
                                           Case{{2, 7, 6, 2, 8}, 70.0},
                                           Case{{1, 300, 2, 1, 8}, 100.0}));

std::vector<Case> CasesForDifferences() {
  return {Case{{1, 1, 1, 1, 2}}, Case{{2, 5, 3, 1, 2}}, Case{{1, 6, 4, 2, 3}},
          Case{{1, 4, 2, 2, 4}, 1.7}};
}

TEST(AttentionGradientTest, AgreesWithCentralDifferences) {
  for (const Case& c : CasesForDifferences()) {
    SCOPED_TRACE(Describe(c, DType::kF64));
    TestContext test;
    Problem p(test, DType::kF64, c);
    p.Forward();
    p.Backward();
    const std::vector<double> weights = ToDoubles(p.dout);
    const auto check = [&](TensorView input, TensorView gradient) {
      const std::vector<double> point = ToDoubles(input), analytic = ToDoubles(gradient);
      const auto function = [&](std::span<const double> x) {
        SetDoubles(input, x);
        p.Forward();
        const std::vector<double> out = ToDoubles(p.out);
        double sum = 0.0;
        for (size_t i = 0; i < out.size(); ++i) sum += weights[i] * out[i];
        return sum;
      };
      const auto result = CheckGradient(function, analytic, point);
      SetDoubles(input, point);
      return result;
    };
    EXPECT_TRUE(check(p.q, p.dq)) << "dq";
    EXPECT_TRUE(check(p.k, p.dk)) << "dk";
    EXPECT_TRUE(check(p.v, p.dv)) << "dv";
  }
}

TEST(AttentionTest, RowsDoNotSeeLaterKeysOrOtherSequences) {
  TestContext test;
  const Case c{{2, 70, 2, 1, 4}};
  Problem p(test, DType::kF32, c);
  p.Forward();
  const std::vector<double> before = ToDoubles(p.out);
  // Everything from row 66 of the first sequence on, to the end of that sequence.
  const int64_t first = 66, last = 70, width = 2 * 4;
  SetDoubles(p.k.Rows(first, last), std::vector<double>(4 * 4, 3.0));
  SetDoubles(p.v.Rows(first, last), std::vector<double>(4 * 4, -5.0));
  p.Forward();
  const std::vector<double> after = ToDoubles(p.out);
  const auto rows = [&](const std::vector<double>& values, int64_t begin, int64_t end) {
    return std::span(values).subspan(static_cast<size_t>(begin * width),
                                     static_cast<size_t>((end - begin) * width));
  };
  EXPECT_TRUE(SameBits(rows(after, 0, first), rows(before, 0, first)));
  EXPECT_TRUE(SameBits(rows(after, last, 140), rows(before, last, 140)));
  EXPECT_FALSE(SameBits(rows(after, first, last), rows(before, first, last)));
}

TEST(AttentionTest, HugeEqualScoresAverageTheValues) {
  // q = k = (100, 100): every score is 1e4 * sqrt(2), exp of which overflows even a double.
  TestContext test;
  Problem p(test, DType::kF32, Case{{1, 300, 1, 1, 2}});
  SetDoubles(p.q, std::vector<double>(600, 100.0));
  SetDoubles(p.k, std::vector<double>(600, 100.0));
  p.Forward();
  const std::vector<double> v = ToDoubles(p.v);
  std::vector<double> expected(600, 0.0);
  double sums[2] = {0.0, 0.0};
  for (size_t i = 0; i < 600; ++i) {
    const size_t position = i / 2;
    sums[i % 2] += v[i];
    expected[i] = sums[i % 2] / static_cast<double>(position + 1);
  }
  EXPECT_TRUE(AllClose(ToDoubles(p.out), expected, DotTolerance(DType::kF32, 300, 1.0, MaxAbs(v))));
}

TEST(AttentionTest, SameBitsTwice) {
  TestContext test;
  Problem p(test, DType::kF32, Case{{1, 130, 4, 2, 8}});
  p.Forward();
  p.Backward();
  const auto out = ToDoubles(p.out), dq = ToDoubles(p.dq), dk = ToDoubles(p.dk);
  p.Forward();
  p.Backward();
  EXPECT_TRUE(SameBits(ToDoubles(p.out), out));
  EXPECT_TRUE(SameBits(ToDoubles(p.dq), dq));
  EXPECT_TRUE(SameBits(ToDoubles(p.dk), dk));
}

TEST(AttentionTest, NaNInAKeyReachesTheRowsThatSeeIt) {
  TestContext test;
  Problem p(test, DType::kF32, Case{{1, 9, 1, 1, 2}});
  SetDoubles(p.k.Rows(4, 5), std::vector<double>{kNaN, 1.0});
  p.Forward();
  const std::vector<double> out = ToDoubles(p.out);
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isnan(out[i]), i >= 8) << i;
}

TEST(AttentionTest, ScratchDoesNotGrowWithTheSequence) {
  TestContext test;
  Problem p(test, DType::kF32, Case{{1, 1000, 1, 1, 2}});
  p.Forward();
  p.Backward();
  EXPECT_LE(test.context().scratch->high_water_bytes(), 2u * 64 * 256 * sizeof(float));
}

}  // namespace
}  // namespace equipoise
