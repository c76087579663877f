#include "core/ops/cpu/gemm_kernel.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <thread>
#include <vector>

#include "core/base/rng.h"
#include "core/ops/reference/gemm.h"
#include "core/tensor/dtype.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"

extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int num_threads);
}

namespace equipoise::cpu {
namespace {

using testing_support::AllClose;
using testing_support::DotTolerance;
using testing_support::MaxAbs;

constexpr Transpose kNo = Transpose::kNo;
constexpr Transpose kYes = Transpose::kYes;

std::vector<double> Draw(uint64_t key, int64_t count) {
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = Philox(key).Normal(i);
  return values;
}

template <typename T>
std::vector<T> Spread(const std::vector<double>& dense, int64_t width, int64_t stride, T filler) {
  std::vector<T> spread;
  for (size_t i = 0; i < dense.size(); ++i) {
    spread.push_back(static_cast<T>(dense[i]));
    if ((i + 1) % static_cast<size_t>(width) == 0) {
      spread.insert(spread.end(), static_cast<size_t>(stride - width), filler);
    }
  }
  return spread;
}

template <typename T>
class GemmKernelTest : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(GemmKernelTest, Types);

// Blocks of larger matrices: what lies between the rows is neither read nor written.
TYPED_TEST(GemmKernelTest, LeadingDimensions) {
  using T = TypeParam;
  const int64_t m = 13, n = 70, k = 67, lda = k + 3, ldb = k + 5, ldc = n + 2;
  const T mark = 1e30f;
  const auto a = Draw(1, m * k), b = Draw(2, n * k);
  const auto a_spread = Spread<T>(a, k, lda, mark), b_spread = Spread<T>(b, k, ldb, mark);
  std::vector<T> c(static_cast<size_t>(m * ldc), mark);
  GemmKernel<T>(kNo, kYes, m, n, k, T{1}, a_spread.data(), lda, b_spread.data(), ldb, T{0},
                c.data(), ldc);
  std::vector<double> dense;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < ldc; ++j) {
      const T value = c[static_cast<size_t>(i * ldc + j)];
      if (j < n) {
        dense.push_back(value);
      } else {
        EXPECT_EQ(value, mark) << "row " << i << " column " << j;
      }
    }
  }
  EXPECT_TRUE(AllClose(dense, reference::Gemm({kNo, kYes, m, n, k}, a, b),
                       DotTolerance(DTypeOf<T>::value, k, MaxAbs(a), MaxAbs(b))));
}

TYPED_TEST(GemmKernelTest, NullPointersWhereNothingIsRead) {
  using T = TypeParam;
  GemmKernel<T>(kNo, kNo, 0, 3, 4, T{1}, nullptr, 4, nullptr, 3, T{0}, nullptr, 3);
  std::vector<T> c = {1, 2, 3, 4};
  GemmKernel<T>(kNo, kNo, 2, 2, 0, T{1}, nullptr, 0, nullptr, 2, T{2}, c.data(), 2);
  EXPECT_EQ(c, (std::vector<T>{2, 4, 6, 8}));
}

TYPED_TEST(GemmKernelTest, LeadingDimensionTooSmallDies) {
  using T = TypeParam;
  std::vector<T> a(6), b(6), c(4);
  EXPECT_DEATH(GemmKernel<T>(kNo, kNo, 2, 2, 3, T{1}, a.data(), 2, b.data(), 2, T{0}, c.data(), 2),
               "check failed");
}

// Cores belong to ranks: however many threads OpenMP would like, a product stays on its caller's,
// and the caller's setting is as it was.
TEST(GemmKernelThreadsTest, StartsNoThreads) {
  const auto count_threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                         std::filesystem::directory_iterator());
  };
  const auto work = [&] {
    omp_set_num_threads(3);
    const auto before = count_threads();
    const int64_t size = 512;
    std::vector<float> a(size * size, 1.0f), c(size * size);
    GemmKernel<float>(kNo, kNo, size, size, size, 1.0f, a.data(), size, a.data(), size, 0.0f,
                      c.data(), size);
    EXPECT_EQ(count_threads(), before);
    EXPECT_EQ(omp_get_max_threads(), 3);
    EXPECT_EQ(c[size], static_cast<float>(size));
  };
  work();
  std::thread(work).join();
}

// Threads that multiply at the same time get the bits they would get alone.
TEST(GemmKernelThreadsTest, ConcurrentCallersDoNotDisturbOneAnother) {
  const int64_t m = 33, n = 130, k = 257;
  std::vector<float> a, b;
  for (const double value : Draw(1, m * k)) a.push_back(static_cast<float>(value));
  for (const double value : Draw(2, k * n)) b.push_back(static_cast<float>(value));
  const auto multiply = [&](std::vector<float>& c) {
    c.assign(static_cast<size_t>(m * n), 0.0f);
    GemmKernel<float>(kNo, kNo, m, n, k, 1.0f, a.data(), k, b.data(), n, 0.0f, c.data(), n);
  };
  std::vector<float> alone;
  multiply(alone);
  std::vector<std::vector<float>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([&] { multiply(result); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, alone);
}

}  // namespace
}  // namespace equipoise::cpu
