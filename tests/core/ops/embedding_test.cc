#include "core/ops/embedding.h"

#include <vector>

#include "core/ops/reference/permute.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise {
namespace {

using testing_support::AllClose;
using testing_support::DotTolerance;
using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr int64_t kTokens = 29;
constexpr int64_t kVocabulary = 7;
constexpr int64_t kWidth = 19;

class EmbeddingTest : public ::testing::TestWithParam<DType> {
 protected:
  TestContext test_;
  const TensorView ids_ = test_.Below(DType::kI32, {kTokens}, 1, kVocabulary);
};

TEST_P(EmbeddingTest, ForwardCopiesRowsExactly) {
  const TensorView table = test_.Normal(GetParam(), {kVocabulary, kWidth}, 2);
  const TensorView y = test_.Zeros(GetParam(), {kTokens, kWidth});
  EmbeddingForward(test_.context(), ids_, table, y);
  EXPECT_TRUE(
      SameBits(ToDoubles(y), reference::GatherRows(ToDoubles(table), ToDoubles(ids_), kWidth)));
}

TEST_P(EmbeddingTest, BackwardAddsRowsOfRepeatedTokens) {
  const TensorView dy = test_.Normal(GetParam(), {kTokens, kWidth}, 3);
  const TensorView dtable = test_.Normal(GetParam(), {kVocabulary, kWidth}, 4);
  auto expected = ToDoubles(dtable);
  reference::ScatterAddRows(ToDoubles(dy), ToDoubles(ids_), kWidth, expected);
  EmbeddingBackward(test_.context(), ids_, dy, dtable);
  EXPECT_TRUE(AllClose(ToDoubles(dtable), expected,
                       DotTolerance(GetParam(), kTokens, 1.0, MaxAbs(expected))));
}

TEST_P(EmbeddingTest, NoTokens) {
  const TensorView none = test_.Zeros(DType::kI32, {0});
  const TensorView rows = test_.Zeros(GetParam(), {0, kWidth});
  const TensorView table = test_.Normal(GetParam(), {kVocabulary, kWidth}, 2);
  const auto before = ToDoubles(table);
  EmbeddingForward(test_.context(), none, table, rows);
  EmbeddingBackward(test_.context(), none, rows, table);
  EXPECT_TRUE(SameBits(ToDoubles(table), before));
}

TEST_P(EmbeddingTest, IdOutsideTheVocabularyDies) {
  const TensorView table = test_.Zeros(GetParam(), {kVocabulary, kWidth});
  const TensorView y = test_.Zeros(GetParam(), {1, kWidth});
  for (const double id : {-1.0, static_cast<double>(kVocabulary)}) {
    const TensorView ids = test_.Make(DType::kI32, {1}, std::vector<double>{id});
    EXPECT_DEATH(EmbeddingForward(test_.context(), ids, table, y), "token id");
    EXPECT_DEATH(EmbeddingBackward(test_.context(), ids, y, table), "token id");
  }
}

INSTANTIATE_TEST_SUITE_P(Types, EmbeddingTest, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& info) { return Name(info.param); });

}  // namespace
}  // namespace equipoise
