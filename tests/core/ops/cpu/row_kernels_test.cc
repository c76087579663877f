#include "core/ops/cpu/row_kernels.h"

#include <cmath>
#include <utility>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "hwy/targets.h"
#include "tests/support/compare.h"

namespace equipoise::cpu {
namespace {

using testing_support::SameBits;

constexpr int64_t kLengths[] = {0, 1, 3, 4, 7, 8, 9, 16, 31, 32, 33, 63, 64, 100, 1027};

template <typename T>
std::vector<T> Draw(uint64_t key, int64_t n) {
  std::vector<T> values;
  for (int64_t i = 0; i < n; ++i) {
    values.push_back(static_cast<T>(Philox(key).Normal(static_cast<uint64_t>(i)) * 3.0));
  }
  return values;
}

// The results of all kernels on one set of inputs, one after the other.
template <typename T>
std::vector<double> RunAll(int64_t n) {
  const RowKernels<T>& kernels = RowKernels<T>::Get();
  const auto x = Draw<T>(1, n), w = Draw<T>(2, n), z = Draw<T>(3, n);
  std::vector<double> results = {kernels.dot(x.data(), w.data(), n),
                                 kernels.dot3(x.data(), w.data(), z.data(), n),
                                 kernels.all_finite(x.data(), n) ? 1.0 : 0.0};
  std::vector<T> y = z, y2 = z;
  std::vector<double> sums(static_cast<size_t>(n), 0.25);
  const auto keep = [&] {
    results.insert(results.end(), y.begin(), y.end());
    results.insert(results.end(), y2.begin(), y2.end());
  };
  kernels.axpy(T{1} / T{3}, x.data(), y.data(), n);
  kernels.scale(T{1} / T{3}, x.data(), y2.data(), n);
  keep();
  kernels.scale_product(T{1} / T{3}, x.data(), w.data(), y.data(), n);
  kernels.silu_product(x.data(), w.data(), y2.data(), n);
  keep();
  kernels.silu_product_backward(x.data(), w.data(), z.data(), y.data(), y2.data(), n);
  keep();
  kernels.rms_norm_backward({.x = x.data(),
                             .weight = w.data(),
                             .dy = z.data(),
                             .inverse_rms = 0.7,
                             .projection = 0.1,
                             .dx = y.data(),
                             .accumulate_dx = true,
                             .dweight = sums.data()},
                            n);
  keep();
  results.insert(results.end(), sums.begin(), sums.end());
  return results;
}

template <typename T>
class RowKernelsTest : public ::testing::Test {
 protected:
  // Gives the choice of instruction set back to Highway.
  ~RowKernelsTest() override { Choose(0); }
  static void Choose(int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(RowKernelsTest, Types);

TYPED_TEST(RowKernelsTest, SumsMatchPlainLoops) {
  using T = TypeParam;
  for (const int64_t n : kLengths) {
    const auto x = Draw<T>(1, n), w = Draw<T>(2, n), z = Draw<T>(3, n);
    double dot = 0.0, dot3 = 0.0, size = 0.0, size3 = 0.0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double product = static_cast<double>(x[i]) * static_cast<double>(w[i]);
      dot += product;
      dot3 += product * static_cast<double>(z[i]);
      size += std::abs(product);
      size3 += std::abs(product * static_cast<double>(z[i]));
    }
    const double epsilon = testing_support::Epsilon(DType::kF64);
    const RowKernels<T>& kernels = RowKernels<T>::Get();
    EXPECT_NEAR(kernels.dot(x.data(), w.data(), n), dot, 8.0 * epsilon * size) << n;
    EXPECT_NEAR(kernels.dot3(x.data(), w.data(), z.data(), n), dot3, 8.0 * epsilon * size3) << n;
  }
}

// Every instruction set this machine has, with vectors of different widths, gives the same bits.
TYPED_TEST(RowKernelsTest, InstructionSetsAgree) {
  const std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  for (const int64_t n : kLengths) {
    this->Choose(0);
    const auto expected = RunAll<TypeParam>(n);
    for (const int64_t target : targets) {
      this->Choose(target);
      EXPECT_TRUE(SameBits(RunAll<TypeParam>(n), expected))
          << hwy::TargetName(target) << " n=" << n;
    }
  }
}

// An element's result does not depend on where in the row it stands.
TYPED_TEST(RowKernelsTest, ElementsDoNotDependOnTheirPosition) {
  using T = TypeParam;
  const RowKernels<T>& kernels = RowKernels<T>::Get();
  const int64_t n = 77;
  const auto gate = Draw<T>(1, n), up = Draw<T>(2, n);
  std::vector<T> whole(gate.size()), parts(gate.size());
  kernels.silu_product(gate.data(), up.data(), whole.data(), n);
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 5}, {5, 30}, {30, 77}}) {
    kernels.silu_product(gate.data() + begin, up.data() + begin, parts.data() + begin, end - begin);
  }
  EXPECT_EQ(whole, parts);
}

}  // namespace
}  // namespace equipoise::cpu
