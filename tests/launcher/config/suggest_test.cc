#include "launcher/config/suggest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace equipoise::launcher {
namespace {

TEST(EditDistance, CountsEdits) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("steps", "Steps"), 0);
  EXPECT_EQ(EditDistance("stpes", "steps"), 1);  // swapped neighbours are one slip
  EXPECT_EQ(EditDistance("topk", "top_k"), 1);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
}

TEST(Nearest, IsTheFirstOfTheNearest) {
  const std::vector<std::string> names = {"hidden", "num_heads", "num_kv_heads", "head_dim"};
  EXPECT_EQ(Nearest("hiden", names), "hidden");
  EXPECT_EQ(Nearest("num_head", names), "num_heads");
  EXPECT_EQ(Nearest("hid", names), "hidden");  // a beginning
  EXPECT_EQ(Nearest("xyzzy", names), "");
  EXPECT_EQ(Nearest("", names), "");
  EXPECT_EQ(Nearest("hidden", {}), "");
  EXPECT_EQ(DidYouMean("haed_dim", names), "; did you mean head_dim?");
}

}  // namespace
}  // namespace equipoise::launcher
