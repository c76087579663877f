// What a batch is made of where nodes read domains of their own: the same text on every layout with
// the same logical nodes, and after a resume.

#include "parallel/train_samples.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/data/dataset.h"
#include "core/data/token_file.h"
#include "gtest/gtest.h"
#include "routing/locality.h"
#include "tests/parallel/trainer_fixture.h"

namespace equipoise::parallel {
namespace {

using testing_support::MakeTrainSetting;
using testing_support::RunTraining;
using testing_support::TrainOutcome;
using testing_support::TrainSetting;

constexpr int64_t kLength = 16;
constexpr int64_t kSequences = 8;
// By weight 1 to 3 of 8: the second of two nodes begins in the middle of "verse".
const std::vector<std::pair<std::string, double>> kDomains = {
    {"prose", 3.0}, {"verse", 2.0}, {"code", 3.0}};

std::string Folder() {
  return ::testing::TempDir() + ::testing::UnitTest::GetInstance()->current_test_info()->name() +
         "_";
}

// Domain d's text: its own three letters in an order that no two windows share.
std::unique_ptr<TokenDataset> OpenDomains(const std::string& folder) {
  DatasetOptions options;
  for (size_t d = 0; d < kDomains.size(); ++d) {
    const std::string path = folder + kDomains[d].first + ".txt";
    std::string text;
    for (int i = 0; i < 2000; ++i) {
      for (int digit = 0, rest = i; digit < 8; ++digit, rest /= 3) {
        text += static_cast<char>('a' + 3 * static_cast<int>(d) + rest % 3);
      }
    }
    std::ofstream(path, std::ios::binary) << text;
    options.sources.push_back({kDomains[d].first, {path}, kDomains[d].second, TokenFormat::kBytes});
  }
  options.sequence_length = kLength;
  options.seed = 5;
  auto data = TokenDataset::Open(options);
  EXPECT_TRUE(data.ok()) << data.status();
  return *std::move(data);
}

// What the samples read of the options: names and weights.
void SetDomains(TrainOptions& options) {
  options.data.sources.clear();
  for (const auto& [name, weight] : kDomains) options.data.sources.push_back({name, {}, weight});
}

TrainOptions Options() {
  TrainOptions options;
  SetDomains(options);
  options.batch.sequences = kSequences;
  options.data.seed = 5;
  options.data_by_node = true;
  return options;
}

struct Sample {
  int domain = 0;
  std::vector<int32_t> tokens;
  bool operator<(const Sample& other) const { return tokens < other.tokens; }
};

std::vector<Sample> Batch(const TrainSamples& samples, int64_t samples_seen,
                          int64_t sequences = kSequences) {
  std::vector<Sample> batch(static_cast<size_t>(sequences));
  for (size_t j = 0; j < batch.size(); ++j) {
    batch[j].tokens.resize(kLength + 1);
    const absl::Status status =
        samples.Get(samples_seen, static_cast<int64_t>(j), batch[j].tokens, &batch[j].domain);
    EXPECT_TRUE(status.ok()) << status;
    const int32_t first = 'a' + 3 * batch[j].domain;
    for (const int32_t token : batch[j].tokens) {
      const bool own = token >= first && token < first + 3;
      EXPECT_TRUE(own || token == kByteSeparator) << token;
    }
  }
  return batch;
}

TEST(TrainSamplesTest, NodesReadTheirOwnDomainsAndTheBatchKeepsItsShares) {
  const auto data = OpenDomains(Folder());
  for (const int nodes : {2, 3, 4}) {
    const auto samples = TrainSamples::Create(*data, Options(), nodes);
    ASSERT_TRUE(samples.ok()) << samples.status();
    std::map<int, std::set<int>> domains_of_node;
    std::map<int, double> share;
    constexpr int kSteps = 200;
    for (int64_t step = 0; step < kSteps; ++step) {
      const auto batch = Batch(*samples, step * kSequences);
      for (int64_t j = 0; j < kSequences; ++j) {
        const int domain = batch[static_cast<size_t>(j)].domain;
        domains_of_node[routing::NodeOfSequence(j, kSequences, nodes)].insert(domain);
        share[domain] += 1.0 / (kSteps * kSequences);
      }
    }
    for (size_t d = 0; d < kDomains.size(); ++d) {
      EXPECT_NEAR(share[static_cast<int>(d)], kDomains[d].second / 8.0, 0.01) << nodes;
    }
    // Laid end to end and cut: neighbours share at most one domain, so ends share none.
    size_t pairs = 0;
    for (const auto& [node, domains] : domains_of_node) pairs += domains.size();
    EXPECT_LE(pairs, kDomains.size() + static_cast<size_t>(nodes) - 1);
    EXPECT_EQ(domains_of_node[0].count(2), 0u);
    EXPECT_EQ(domains_of_node[nodes - 1].count(0), 0u);
    // Held-out text lives where such text is trained on.
    for (int domain = 0; domain < 3; ++domain) {
      for (uint64_t i = 0; i < 5; ++i) {
        EXPECT_EQ(domains_of_node[samples->HomeOfHeldOut(i, domain)].count(domain), 1u);
      }
    }
    EXPECT_LT(samples->HomeOfHeldOut(7, 99), nodes);
  }
}

// On a node; another one that shares the domain may be in another epoch of it.
TEST(TrainSamplesTest, NoWindowComesTwiceBeforeItsTime) {
  const auto data = OpenDomains(Folder());
  const auto samples = TrainSamples::Create(*data, Options(), 2);
  ASSERT_TRUE(samples.ok());
  std::set<Sample> seen[2];
  constexpr int64_t kSteps = 40;
  for (int64_t step = 0; step < kSteps; ++step) {
    auto batch = Batch(*samples, step * kSequences);
    for (size_t j = 0; j < batch.size(); ++j) {
      EXPECT_TRUE(seen[2 * j / kSequences].insert(std::move(batch[j])).second) << step << " " << j;
    }
  }
}

TEST(TrainSamplesTest, OneNodeOrNoWishReadsTheMixture) {
  const auto data = OpenDomains(Folder());
  TrainOptions options = Options();
  const auto one = TrainSamples::Create(*data, options, 1);
  options.data_by_node = false;
  const auto plain = TrainSamples::Create(*data, options, 4);
  ASSERT_TRUE(one.ok() && plain.ok());
  for (const int64_t seen : {0, 8, 20}) {
    const auto a = Batch(*one, seen);
    const auto b = Batch(*plain, seen);
    for (size_t j = 0; j < a.size(); ++j) {
      std::vector<int32_t> tokens(kLength + 1);
      int domain = 0;
      ASSERT_TRUE(data->GetSample(static_cast<uint64_t>(seen) + j, tokens, &domain).ok());
      EXPECT_EQ(a[j].tokens, tokens);
      EXPECT_EQ(b[j].tokens, tokens);
    }
  }
}

// Where N divides both batches nothing is passed over when their size changes.
TEST(TrainSamplesTest, GoesOnWithBatchesOfAnotherSize) {
  const auto data = OpenDomains(Folder());
  TrainOptions options = Options();
  const auto eight = TrainSamples::Create(*data, options, 2);
  options.batch.sequences = 4;
  const auto four = TrainSamples::Create(*data, options, 2);
  ASSERT_TRUE(eight.ok() && four.ok());
  std::set<Sample> straight;
  for (int64_t seen = 0; seen < 80; seen += 8) {
    for (Sample& sample : Batch(*eight, seen)) straight.insert(std::move(sample));
  }
  std::set<Sample> changed;
  for (int64_t seen = 0; seen < 40; seen += 8) {
    for (Sample& sample : Batch(*eight, seen)) changed.insert(std::move(sample));
  }
  for (int64_t seen = 40; seen < 80; seen += 4) {
    for (Sample& sample : Batch(*four, seen, 4)) changed.insert(std::move(sample));
  }
  ASSERT_EQ(changed.size(), straight.size());
  EXPECT_TRUE(std::equal(straight.begin(), straight.end(), changed.begin(),
                         [](const Sample& a, const Sample& b) { return a.tokens == b.tokens; }));
}

// A whole run on `ranks`; by node, with a preference that reads the nodes.
std::unique_ptr<TrainSetting> Setting(const std::string& folder) {
  auto setting = MakeTrainSetting(folder);
  setting->data = OpenDomains(folder);
  TrainOptions& options = setting->options;
  SetDomains(options);
  options.data_by_node = true;
  options.data.seed = 5;
  options.model.dtype = DType::kF64;
  options.model.moe.router.locality.num_nodes = 2;
  options.model.moe.router.locality.loss.coefficient = 0.1;
  options.batch.load_source = LoadSource::kPreviousStep;
  options.steps = 6;
  return setting;
}

std::vector<double> Losses(const TrainOutcome& outcome) {
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  std::vector<double> losses;
  for (const StepRecord& record : outcome.events.steps) losses.push_back(record.loss);
  return losses;
}

void ExpectSame(const std::vector<double>& losses, const std::vector<double>& expected) {
  ASSERT_EQ(losses.size(), expected.size());
  for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], expected[i], 1e-11) << i;
}

TEST(TextByNodeTest, IsTheSameOnEveryLayoutAndAfterAResume) {
  const std::string folder = Folder();
  const auto straight = Losses(RunTraining(*Setting(folder), 1));
  ASSERT_EQ(straight.size(), 6u);
  auto mixed = Setting(folder);
  mixed->options.data_by_node = false;
  EXPECT_NE(Losses(RunTraining(*mixed, 1)), straight) << "another text";
  for (const auto& [ranks, experts, micro_batches] :
       std::vector<std::tuple<int, int, int>>{{1, 1, 3}, {2, 2, 1}, {3, 1, 2}, {4, 4, 2}}) {
    SCOPED_TRACE(::testing::Message() << ranks << " ranks");
    auto setting = Setting(folder);
    setting->options.layout.expert_parallel = experts;
    setting->options.batch.accumulation_steps = micro_batches;
    ExpectSame(Losses(RunTraining(*setting, ranks)), straight);
  }
  auto resumed = Setting(folder);
  resumed->options.steps = 3;
  ASSERT_EQ(Losses(RunTraining(*resumed, 2)).size(), 3u);
  resumed->options.steps = 6;
  const TrainOutcome rest = RunTraining(*resumed, 3);
  ASSERT_EQ(rest.events.starts.size(), 1u);
  EXPECT_EQ(rest.events.starts[0].first, 3);
  ExpectSame(Losses(rest), {straight.begin() + 3, straight.end()});
}

TEST(TextByNodeTest, RefusesMoreNodesThanSequences) {
  auto setting = Setting(Folder());
  setting->options.model.moe.router.locality.num_nodes = 9;
  const TrainOutcome outcome = RunTraining(*setting, 2);
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(outcome.status.message().find("moe.locality.nodes is 9"), std::string::npos)
      << outcome.status;
}

}  // namespace
}  // namespace equipoise::parallel
