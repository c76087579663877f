#include "core/nn/parameter.h"

#include <memory>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise {
namespace {

using testing_support::MaxAbs;
using testing_support::SameBits;
using testing_support::ToDoubles;

constexpr int64_t kAlignment[kNumParameterGroups] = {8, 3};

ParameterSpec Replicated(const std::string& name, const Shape& shape) {
  ParameterSpec spec;
  spec.shape = shape;
  spec.parts = {{name, shape}};
  return spec;
}

ParameterSpec Experts(const std::vector<std::string>& names, const Shape& expert) {
  ParameterSpec spec;
  spec.shape = {static_cast<int64_t>(names.size()), expert[0], expert[1]};
  spec.group = ParameterGroup::kExpert;
  for (const std::string& name : names) spec.parts.push_back({name, expert});
  return spec;
}

class ParameterTest : public ::testing::TestWithParam<DType> {
 protected:
  const std::unique_ptr<Device> device_ = MakeCpuDevice();
};

TEST_P(ParameterTest, LaysOutGroupsInReverseOrderOfDeclaration) {
  ParameterRegistry registry;
  Parameter* a = registry.Declare(Replicated("a", {2, 3}));
  Parameter* experts = registry.Declare(Experts({"e0", "e1"}, {2, 2}));
  Parameter* b = registry.Declare(Replicated("b", {5}));
  ASSERT_TRUE(registry.Allocate(*device_, GetParam(), kAlignment).ok());
  EXPECT_EQ(b->offset(), 0);
  EXPECT_EQ(a->offset(), 5);
  EXPECT_EQ(experts->offset(), 0);
  EXPECT_EQ(registry.num_elements(ParameterGroup::kReplicated), 11);
  EXPECT_EQ(registry.num_elements(ParameterGroup::kExpert), 8);
  const TensorView values = registry.values(ParameterGroup::kReplicated);
  EXPECT_EQ(values.shape(), Shape{16});
  EXPECT_EQ(registry.gradients(ParameterGroup::kExpert).shape(), Shape{9});
  EXPECT_EQ(a->value().raw(), values.Rows(5, 11).raw());
  EXPECT_EQ(a->gradient().raw(), registry.gradients(ParameterGroup::kReplicated).Rows(5, 11).raw());
  EXPECT_EQ(a->value().shape(), (Shape{2, 3}));
  EXPECT_EQ(a->value().dtype(), GetParam());
  EXPECT_EQ(registry.parameters()[1].get(), experts);
  EXPECT_EQ(MaxAbs(ToDoubles(values)), 0.0);
}

TEST_P(ParameterTest, InitialValuesAreAFunctionOfSeedNameAndElement) {
  ParameterRegistry registry;
  ParameterSpec spec = Replicated("w", {3, 7});
  spec.init_stddev = 0.5;
  const Parameter* w = registry.Declare(spec);
  ASSERT_TRUE(registry.Allocate(*device_, GetParam(), kAlignment).ok());
  registry.Initialize(*device_, 42);
  const Philox philox(StreamKey(42, "w"));
  std::vector<double> expected;
  for (uint64_t i = 0; i < 21; ++i) {
    const double value = 0.5 * philox.Normal(i);
    expected.push_back(GetParam() == DType::kF32 ? static_cast<double>(static_cast<float>(value))
                                                 : value);
  }
  EXPECT_TRUE(SameBits(ToDoubles(w->value()), expected));
}

// Two ranks with two experts each hold what one rank with four holds.
TEST_P(ParameterTest, ExpertsDoNotDependOnWhoOwnsThem) {
  ParameterRegistry all, half;
  const Parameter* four = all.Declare(Experts({"e0", "e1", "e2", "e3"}, {3, 5}));
  half.Declare(Replicated("something else", {9}));
  const Parameter* two = half.Declare(Experts({"e2", "e3"}, {3, 5}));
  ASSERT_TRUE(all.Allocate(*device_, GetParam(), kAlignment).ok());
  ASSERT_TRUE(half.Allocate(*device_, GetParam(), kAlignment).ok());
  all.Initialize(*device_, 7);
  half.Initialize(*device_, 7);
  EXPECT_TRUE(SameBits(ToDoubles(two->value()), ToDoubles(four->value().Rows(2, 4))));
  half.Initialize(*device_, 8);
  EXPECT_FALSE(SameBits(ToDoubles(two->value()), ToDoubles(four->value().Rows(2, 4))));
}

TEST_P(ParameterTest, OnesZerosAndPadding) {
  ParameterRegistry registry;
  ParameterSpec ones = Replicated("ones", {3}), zeros = Replicated("zeros", {2});
  ones.init = Init::kOnes;
  zeros.init = Init::kZeros;
  registry.Declare(ones);
  registry.Declare(zeros);
  ASSERT_TRUE(registry.Allocate(*device_, GetParam(), kAlignment).ok());
  registry.Initialize(*device_, 7);
  EXPECT_EQ(ToDoubles(registry.values(ParameterGroup::kReplicated)),
            (std::vector<double>{0, 0, 1, 1, 1, 0, 0, 0}));
}

TEST_P(ParameterTest, EmptyGroupsAndParameters) {
  ParameterRegistry registry;
  const Parameter* none = registry.Declare(Experts({"none"}, {0, 4}));
  ASSERT_TRUE(registry.Allocate(*device_, GetParam(), kAlignment).ok());
  registry.Initialize(*device_, 7);
  EXPECT_EQ(none->value().num_elements(), 0);
  EXPECT_EQ(registry.values(ParameterGroup::kReplicated).shape(), Shape{0});
}

TEST_P(ParameterTest, MisuseDies) {
  ParameterRegistry registry;
  ParameterSpec wrong = Replicated("wrong", {2, 3});
  wrong.parts[0].shape = {5};
  EXPECT_DEATH(registry.Declare(wrong), "5 against 6\\) parts of wrong");
  EXPECT_DEATH(registry.Initialize(*device_, 1), "before Allocate");
  ASSERT_TRUE(registry.Allocate(*device_, GetParam(), kAlignment).ok());
  EXPECT_DEATH(registry.Declare(Replicated("late", {1})), "after Allocate");
}

INSTANTIATE_TEST_SUITE_P(Types, ParameterTest, ::testing::Values(DType::kF32, DType::kF64),
                         [](const auto& info) { return Name(info.param); });

}  // namespace
}  // namespace equipoise
