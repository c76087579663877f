#include "parallel/text_exchange.h"

#include <string>
#include <vector>

#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

using testing_support::TestContext;

constexpr comm::WaitOptions kWait = {.name = "texts"};

// Of every rank another length, zero included, with bytes that end C strings.
std::string TextOf(int rank) {
  std::string text(static_cast<size_t>(rank * rank * 7), static_cast<char>('a' + rank));
  if (rank > 0) text[text.size() / 2] = '\0';
  return text;
}

TEST(TextExchange, EveryRankGetsAllTexts) {
  for (const int ranks : {1, 2, 4, 7}) {
    const absl::Status status =
        comm::RunRanks(ranks, [](comm::Communicator& world) -> absl::Status {
          TestContext memory(size_t{1} << 20);
          EQ_ASSIGN_OR_RETURN(const auto texts,
                              GatherTexts(world, memory.context(), TextOf(world.rank()), kWait));
          std::vector<std::string> expected;
          for (int rank = 0; rank < world.size(); ++rank) expected.push_back(TextOf(rank));
          EXPECT_EQ(texts, expected);
          for (int root = 0; root < world.size(); ++root) {
            EQ_ASSIGN_OR_RETURN(
                const std::string text,
                BroadcastText(world, memory.context(), TextOf(world.rank()), root, kWait));
            EXPECT_EQ(text, TextOf(root));
          }
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(TextExchange, TakesNothingButEmptyTexts) {
  const absl::Status status = comm::RunRanks(3, [](comm::Communicator& world) -> absl::Status {
    TestContext memory(size_t{1} << 20);
    EQ_ASSIGN_OR_RETURN(const auto texts, GatherTexts(world, memory.context(), "", kWait));
    EXPECT_EQ(texts, std::vector<std::string>(3));
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace equipoise::parallel
