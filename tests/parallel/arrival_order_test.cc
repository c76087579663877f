#include "parallel/arrival_order.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

using testing_support::TestContext;
using testing_support::ToDoubles;

struct Row {
  int64_t source, expert, index;
};

// Every row as it comes off the wire: by source, then expert.
std::vector<Row> Arriving(const std::vector<double>& counts, int64_t experts) {
  std::vector<Row> rows;
  for (size_t i = 0; i < counts.size(); ++i) {
    for (int64_t index = 0; index < static_cast<int64_t>(counts[i]); ++index) {
      rows.push_back({static_cast<int64_t>(i) / experts, static_cast<int64_t>(i) % experts, index});
    }
  }
  return rows;
}

void ExpectSorted(int64_t sources, int64_t experts, const std::vector<double>& counts) {
  SCOPED_TRACE(absl::StrCat(sources, " sources, ", experts, " experts"));
  const std::vector<Row> rows = Arriving(counts, experts);
  const auto size = static_cast<int64_t>(rows.size());
  std::vector<double> sorted(rows.size());
  std::iota(sorted.begin(), sorted.end(), 0.0);
  std::stable_sort(sorted.begin(), sorted.end(), [&](double a, double b) {
    return rows[static_cast<size_t>(a)].expert < rows[static_cast<size_t>(b)].expert;
  });

  TestContext memory(size_t{1} << 20);
  const TensorView offsets = memory.Zeros(DType::kI64, {experts + 1});
  const TensorView arrival_of = memory.Zeros(DType::kI64, {size});
  const TensorView sorted_of = memory.Zeros(DType::kI64, {size});
  ComputeArrivalOrder(memory.context(), memory.Make(DType::kI64, {sources, experts}, counts),
                      offsets, arrival_of, sorted_of);
  EXPECT_EQ(ToDoubles(arrival_of), sorted);
  const std::vector<double> inverse = ToDoubles(sorted_of);
  for (size_t i = 0; i < sorted.size(); ++i) {
    EXPECT_EQ(inverse[static_cast<size_t>(sorted[i])], static_cast<double>(i));
  }
  const std::vector<double> ends = ToDoubles(offsets);
  for (int64_t e = 0; e <= experts; ++e) {
    const auto before =
        std::count_if(rows.begin(), rows.end(), [&](const Row& row) { return row.expert < e; });
    EXPECT_EQ(ends[static_cast<size_t>(e)], static_cast<double>(before)) << "expert " << e;
  }
  EXPECT_EQ(memory.context().scratch->mark(), 0u);
}

TEST(ArrivalOrder, IsAStableSortByExpert) {
  for (const int64_t sources : {1, 2, 3, 7}) {
    for (const int64_t experts : {0, 1, 2, 5, 13}) {
      const Philox random(static_cast<uint64_t>(sources * 100 + experts));
      std::vector<double> counts(static_cast<size_t>(sources * experts));
      for (size_t i = 0; i < counts.size(); ++i) {
        counts[i] = static_cast<double>(random.Below(5, i));
      }
      ExpectSorted(sources, experts, counts);
    }
  }
}

TEST(ArrivalOrder, TakesNoRowsAndOneHotExpert) {
  ExpectSorted(3, 2, {0, 0, 0, 0, 0, 0});
  ExpectSorted(3, 3, {0, 17, 0, 0, 1, 0, 0, 1021, 0});
}

}  // namespace
}  // namespace equipoise::parallel
