#include "comm/link_model.h"

#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace equipoise::comm {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

LinkModel Example() {
  LinkModel links;
  links[LinkClass::kSelf] = {2.5e-8, 1.0 / 3e10};
  links[LinkClass::kNode] = {1.7e-5, 1.0 / 2.3e9};
  links[LinkClass::kRemote] = {8.7e-5, 1.0 / 85e6};
  links[LinkClass::kRemote].seconds_per_byte = {1.0 / 121e6, 1.0 / 110e6, 1.0 / 85e6};
  return links;
}

std::string ErrorOf(absl::string_view text) {
  return std::string(LinksFromText(text).status().message());
}

TEST(LinkModel, ComesBackFromItsText) {
  const LinkModel links = Example();
  const auto read = LinksFromText(LinksToText(links));
  ASSERT_TRUE(read.ok()) << read.status();
  for (const LinkClass link : {LinkClass::kSelf, LinkClass::kNode, LinkClass::kRemote}) {
    EXPECT_NEAR((*read)[link].latency, links[link].latency, 1e-8 * links[link].latency);
    for (size_t i = 0; i < Link::kSizes.size(); ++i) {
      const double rate = links[link].seconds_per_byte[i];
      EXPECT_NEAR((*read)[link].seconds_per_byte[i], rate, 1e-8 * rate);
    }
  }
  // What was written once is read and written the same ever after.
  EXPECT_EQ(LinksToText(*read), LinksToText(links));
}

TEST(LinkModel, ReadsWhatAPersonWrites) {
  const auto links = LinksFromText(
      "\n# by hand\n  remote\t1e-4 8e-9  # 1 Gbit/s\r\n\nself 1e-8 1e-10 2e-10 4e-10");
  ASSERT_TRUE(links.ok()) << links.status();
  EXPECT_EQ((*links)[LinkClass::kRemote].latency, 1e-4);
  EXPECT_THAT((*links)[LinkClass::kRemote].seconds_per_byte, Each(8e-9));
  EXPECT_THAT((*links)[LinkClass::kSelf].seconds_per_byte, ElementsAre(1e-10, 2e-10, 4e-10));
  EXPECT_FALSE((*links)[LinkClass::kNode].known());
  EXPECT_EQ(LinksToText(LinkModel()), LinksToText(*LinksFromText("")));
}

TEST(Link, TakesALineBetweenItsSizesAndGoesOnAlongTheLast) {
  const double size = 1024.0 * 128.0;
  ASSERT_THAT(Link::kSizes, ElementsAre(size, 4 * size, 16 * size));
  Link link(1e-3, 0.0);
  link.seconds_per_byte = {1.0 / size, 2.0 / size, 3.0 / size};  // in all 1, 8 and 48 seconds
  EXPECT_DOUBLE_EQ(link.Seconds(0.0), 0.0);
  EXPECT_DOUBLE_EQ(link.Seconds(size / 4), 0.25);
  EXPECT_DOUBLE_EQ(link.Seconds(size), 1.0);
  EXPECT_DOUBLE_EQ(link.Seconds(2 * size), 1.0 + 7.0 / 3.0);
  EXPECT_DOUBLE_EQ(link.Seconds(4 * size), 8.0);
  EXPECT_DOUBLE_EQ(link.Seconds(16 * size), 48.0);
  EXPECT_DOUBLE_EQ(link.Seconds(28 * size), 88.0);
  // One rate is one rate, and more bytes never take less time.
  EXPECT_DOUBLE_EQ(Link(1e-3, 1e-9).Seconds(12345678.0), 12345678.0e-9);
  link.seconds_per_byte = {1.0 / size, 0.1 / size, 0.01 / size};
  EXPECT_DOUBLE_EQ(link.Seconds(100 * size), 1.0);
}

TEST(Link, SecondsAreLinearInWhatIsAsked) {
  LinkModel links = Example();
  links[LinkClass::kRemote].beyond = 1.0 / 50e6;
  for (const double bytes : {0.0, 1e3, 2e5, 1e6, 2e6, 7e6}) {
    const Link::Lines lines = Link::Split(bytes);
    EXPECT_DOUBLE_EQ(std::accumulate(lines.begin(), lines.end(), 0.0), bytes);
    LinkUses uses = {};
    uses[static_cast<size_t>(LinkClass::kRemote)] = {3.0, lines};
    const Link& remote = links[LinkClass::kRemote];
    const double once = 3.0 * remote.latency + remote.Seconds(bytes);
    EXPECT_DOUBLE_EQ(Seconds(links, uses), once);
    LinkUses twice = uses;
    twice += uses;
    EXPECT_DOUBLE_EQ(Seconds(links, twice), 2.0 * once);
  }
  // Beyond the last size another line may go on.
  const Link& remote = links[LinkClass::kRemote];
  EXPECT_NEAR(remote.Seconds(5e6) - remote.Seconds(4e6), 1e6 / 50e6, 1e-12);
}

TEST(LinkModel, NamesTheLineThatIsWrong) {
  EXPECT_EQ(
      ErrorOf("self 1 1\nnode 1"),
      "line 2 has 2 words, not a link's name, its seconds a message and its seconds a byte (one "
      "number, or 3)");
  EXPECT_FALSE(LinksFromText("node 1e-5 1e-9 1e-9").ok());
  EXPECT_EQ(ErrorOf("\nnear 1e-5 1e-9"),
            "line 2 names a link 'near': there are self, node, remote and far");
  EXPECT_EQ(ErrorOf("node 1e-5 1e-9\nnode 1e-5 1e-9"), "line 2 names 'node' a second time");
  for (const char* number : {"0", "-1e-6", "nan", "inf", "61", "fast", "1e-6s"}) {
    EXPECT_EQ(
        ErrorOf(std::string("node ") + number + " 1e-9"),
        std::string("line 1 has '") + number + "' where seconds should be: above 0, up to 60");
    EXPECT_FALSE(LinksFromText(std::string("node 1e-6 ") + number).ok()) << number;
  }
}

TEST(LinkModel, CoversATopologyWhenEveryClassInItIsKnown) {
  const auto covers = [](const LinkModel& links, std::vector<int> nodes) {
    return links.Covers(*Topology::FromNodes(std::move(nodes)));
  };
  LinkModel links;
  EXPECT_TRUE(covers(links, {0}));
  EXPECT_FALSE(covers(links, {0, 0}));
  links[LinkClass::kSelf] = {1e-8, 1e-10};
  links[LinkClass::kRemote] = {1e-4, 1e-8};
  EXPECT_TRUE(covers(links, {0, 1}));
  EXPECT_FALSE(covers(links, {0, 0, 1}));
  EXPECT_FALSE(covers(links, {0, 0}));
  EXPECT_TRUE(covers(Example(), {0, 0, 1}));
  const auto grouped = Topology::FromNodes({0, 1, 2}, {"a", "b", "c"}, {"r", "s", "r"});
  EXPECT_FALSE(Example().Covers(*grouped));
  links[LinkClass::kFar] = {1e-4, 1e-7};
  EXPECT_TRUE(links.Covers(*grouped));
}

TEST(LinkModel, NamesWhatAPartOfTheLinksLacks) {
  const auto grouped = Topology::FromNodes({0, 0, 1, 2}, {"a", "b", "c"}, {"r", "s", "r"});
  ASSERT_TRUE(grouped.ok());
  LinkModel links;
  EXPECT_TRUE(links.empty());
  EXPECT_EQ(links.Missing(*grouped), "") << "nothing was given";
  links[LinkClass::kNode] = {1e-5, 1e-9};
  EXPECT_FALSE(links.empty());
  EXPECT_EQ(links.Missing(*grouped), "self, remote, far");
  EXPECT_EQ(links.Missing(*Topology::FromNodes({0, 0})), "self");
  EXPECT_EQ(links.Missing(*Topology::FromNodes({0})), "");
  links = Example();
  EXPECT_EQ(links.Missing(*grouped), "far");
  links[LinkClass::kFar] = {1e-4, 1e-7};
  EXPECT_EQ(links.Missing(*grouped), "");
}

TEST(LinkModel, DescribesItself) {
  EXPECT_EQ(Describe(LinkModel()), "none");
  EXPECT_EQ(Describe(Example()),
            "self 0.025 us, 30.0 GB/s; node 17 us, 2.3 GB/s; remote 87 us, 121 MB/s to 85 MB/s");
}

}  // namespace
}  // namespace equipoise::comm
