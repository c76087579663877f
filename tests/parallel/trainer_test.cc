// Whole runs: a text on disk, several ranks, validation, checkpoints, and what goes wrong.

#include "parallel/trainer.h"

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "comm/link_model.h"
#include "comm/topology.h"
#include "core/data/token_writer.h"
#include "core/data/unigram.h"
#include "core/io/checkpoint_directory.h"
#include "gtest/gtest.h"
#include "tests/parallel/trainer_fixture.h"

namespace equipoise::parallel {
namespace {

using testing_support::MakeTrainSetting;
using testing_support::RunTraining;
using testing_support::TrainEvents;
using testing_support::TrainOutcome;
using testing_support::TrainSetting;
using Steps = std::vector<int64_t>;

constexpr char kDirectory[] = "run/checkpoints";

class TrainerTest : public ::testing::Test {
 protected:
  // Files of different tests must not meet: they may run at the same time.
  std::string Folder() const {
    return ::testing::TempDir() + ::testing::UnitTest::GetInstance()->current_test_info()->name() +
           "_";
  }
  std::unique_ptr<TrainSetting> setting_ = MakeTrainSetting(Folder());
};

std::vector<double> Losses(const TrainOutcome& outcome) {
  std::vector<double> losses;
  for (const StepRecord& record : outcome.events.steps) losses.push_back(record.loss);
  return losses;
}

Steps SavedSteps(TrainSetting& setting) {
  const auto listing = CheckpointDirectory(setting.files, kDirectory).List();
  EXPECT_TRUE(listing.ok()) << listing.status();
  Steps steps;
  for (const Checkpoint& checkpoint : listing->complete) steps.push_back(checkpoint.step);
  return steps;
}

TEST_F(TrainerTest, LearnsThePatternsOfAText) {
  setting_->options.steps = 60;
  const ValidationWindows windows(setting_->validation.get(),
                                  setting_->options.validation.sequences);
  const auto unigrams = CountUnigrams(windows, *setting_->validation, 0);
  ASSERT_TRUE(unigrams.ok()) << unigrams.status();
  const TrainOutcome outcome = RunTraining(*setting_, 2);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  const TrainSummary& summary = outcome.summaries[0];
  ASSERT_TRUE(summary.first_validation && summary.last_validation);
  std::printf("validation loss %.3f -> %.3f nats; unigram entropy %.3f\n",
              summary.first_validation->loss, summary.last_validation->loss,
              unigrams->entropy_nats);
  EXPECT_GT(summary.first_validation->loss, unigrams->entropy_nats);
  EXPECT_LT(summary.last_validation->loss, 0.8 * unigrams->entropy_nats);
  EXPECT_GT(summary.tokens_per_second, 0.0);
}

TEST_F(TrainerTest, TellsTheSameSummaryOnEveryRank) {
  const TrainOutcome outcome = RunTraining(*setting_, 3);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  for (const TrainSummary& summary : outcome.summaries) {
    EXPECT_EQ(summary.first_step, 1);
    EXPECT_EQ(summary.last_step, 5);
    EXPECT_EQ(summary.tokens_seen, 5 * 8 * 16);
    EXPECT_EQ(summary.stopped, StopReason::kNone);
    EXPECT_EQ(summary.last_record.loss, outcome.summaries[0].last_record.loss);
    EXPECT_EQ(summary.last_validation->loss, outcome.summaries[0].last_validation->loss);
  }
  ASSERT_EQ(outcome.events.steps.size(), 5u);
  EXPECT_EQ(outcome.events.steps[2].step, 3);
  EXPECT_EQ(outcome.events.steps[2].tokens_seen, 3 * 8 * 16);
  EXPECT_GT(outcome.events.steps[2].step_seconds, 0.0);
}

TEST_F(TrainerTest, TellsTheLinksOfARun) {
  setting_->options.steps = 2;
  comm::LinkModel given;
  given[comm::LinkClass::kSelf] = {1e-7, 1e-10};
  setting_->options.layout.links = given;
  const TrainOutcome outcome = RunTraining(*setting_, 2);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  ASSERT_EQ(outcome.events.networks.size(), 1u);
  const auto& [topology, links, of_configuration] = outcome.events.networks[0];
  EXPECT_EQ(topology.num_ranks(), 2);
  EXPECT_TRUE(links.Covers(topology));
  EXPECT_EQ(links[comm::LinkClass::kSelf].latency, 1e-7);
  EXPECT_EQ(of_configuration.Missing(topology), "node");
}

TEST_F(TrainerTest, ValidatesAndSavesAtItsIntervals) {
  setting_->options.steps = 7;
  setting_->options.validation.every_steps = 3;
  setting_->options.checkpoint.every_steps = 2;
  const TrainOutcome outcome = RunTraining(*setting_, 2);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.events.validated, (Steps{0, 3, 6, 7}));
  EXPECT_EQ(outcome.events.saved, (Steps{2, 4, 6, 7}));
  EXPECT_EQ(SavedSteps(*setting_), (Steps{7, 6})) << "two stay";
}

TEST_F(TrainerTest, ValidatesAndSavesNothingWhenToldSo) {
  setting_->options.validation.sequences = 0;
  setting_->options.checkpoint.save_at_end = false;
  const TrainOutcome outcome = RunTraining(*setting_, 2);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_TRUE(outcome.events.validated.empty());
  EXPECT_FALSE(outcome.summaries[0].last_validation.has_value());
  EXPECT_TRUE(SavedSteps(*setting_).empty());
}

TEST_F(TrainerTest, SavesALastStepThatIsDueAnyway) {
  setting_->options.checkpoint.save_at_end = false;
  setting_->options.checkpoint.every_steps = 2;
  setting_->options.steps = 4;
  EXPECT_EQ(RunTraining(*setting_, 2).events.saved, (Steps{2, 4}));
  setting_->options.steps = 5;
  EXPECT_EQ(RunTraining(*setting_, 2).events.saved, Steps{});
}

TEST_F(TrainerTest, ResumesWhereItStopped) {
  const TrainOutcome straight = RunTraining(*MakeTrainSetting(Folder()), 2);
  EXPECT_EQ(straight.events.starts[0], std::make_pair(int64_t{0}, std::string()));
  setting_->options.steps = 4;
  ASSERT_TRUE(RunTraining(*setting_, 2).status.ok());
  setting_->options.steps = 5;
  const TrainOutcome resumed = RunTraining(*setting_, 2);
  ASSERT_TRUE(resumed.status.ok()) << resumed.status;
  EXPECT_EQ(resumed.events.starts[0].first, 4);
  EXPECT_EQ(resumed.events.starts[0].second, "run/checkpoints/step-00000004");
  EXPECT_EQ(resumed.summaries[0].first_step, 5);
  EXPECT_EQ(resumed.summaries[0].tokens_seen, straight.summaries[0].tokens_seen);
  ASSERT_EQ(resumed.events.steps.size(), 1u);
  EXPECT_EQ(resumed.events.steps[0].loss, Losses(straight)[4]) << "not the same bits";
  EXPECT_EQ(resumed.summaries[0].last_validation->loss,
            straight.summaries[0].last_validation->loss);
}

TEST_F(TrainerTest, ResumesAsItsOptionSays) {
  CheckpointOptions& checkpoint = setting_->options.checkpoint;
  checkpoint.resume = "must";
  const TrainOutcome none = RunTraining(*setting_, 2);
  EXPECT_EQ(none.status.code(), absl::StatusCode::kNotFound) << none.status;
  EXPECT_NE(none.status.message().find(kDirectory), std::string::npos) << none.status;

  checkpoint.resume = "auto";
  checkpoint.every_steps = 2;
  const TrainOutcome first = RunTraining(*setting_, 2);
  ASSERT_TRUE(first.status.ok()) << first.status;
  checkpoint.resume = "must";
  EXPECT_EQ(RunTraining(*setting_, 2).events.starts[0].first, 5);
  checkpoint.resume = "run/checkpoints/step-00000004";
  const TrainOutcome named = RunTraining(*setting_, 2);
  EXPECT_EQ(named.events.starts[0].first, 4);
  EXPECT_EQ(named.events.steps[0].loss, Losses(first)[4]);
  checkpoint.resume = "run/checkpoints/step-00000003";
  EXPECT_EQ(RunTraining(*setting_, 2).status.code(), absl::StatusCode::kNotFound);
  checkpoint.resume = "never";
  const TrainOutcome fresh = RunTraining(*setting_, 2);
  EXPECT_EQ(fresh.events.starts[0].first, 0);
  EXPECT_EQ(Losses(fresh), Losses(first));
}

TEST_F(TrainerTest, DoesNotStartOverWhereCheckpointsAreBroken) {
  setting_->options.checkpoint.every_steps = 2;
  ASSERT_TRUE(RunTraining(*setting_, 2).status.ok());
  const auto cut = [&](const std::string& name) {
    ASSERT_TRUE(setting_->files.Truncate(JoinPath(kDirectory, name + "/MANIFEST.json"), 9).ok());
  };
  cut("step-00000005");
  EXPECT_EQ(RunTraining(*setting_, 2).events.starts[0].first, 4) << "an older one will do";
  const auto names = setting_->files.List(kDirectory);
  ASSERT_TRUE(names.ok()) << names.status();
  for (const std::string& name : *names) {
    if (StepOfCheckpointName(name).has_value()) cut(name);
  }
  for (const char* resume : {"auto", "must"}) {
    setting_->options.checkpoint.resume = resume;
    const TrainOutcome outcome = RunTraining(*setting_, 2);
    EXPECT_EQ(outcome.status.code(), absl::StatusCode::kFailedPrecondition) << outcome.status;
    EXPECT_NE(outcome.status.message().find("'run/checkpoints' has checkpoints, but none"),
              std::string::npos)
        << outcome.status;
    EXPECT_TRUE(outcome.events.starts.empty());
  }
}

TEST_F(TrainerTest, ResumesOnAnotherLayoutAndBatch) {
  setting_->options.steps = 3;
  ASSERT_TRUE(RunTraining(*setting_, 4).status.ok());
  setting_->options.steps = 5;
  setting_->options.batch.sequences = 3;
  const TrainOutcome resumed = RunTraining(*setting_, 1);
  ASSERT_TRUE(resumed.status.ok()) << resumed.status;
  EXPECT_EQ(resumed.events.starts[0].first, 3);
  EXPECT_EQ(resumed.summaries[0].tokens_seen, (3 * 8 + 2 * 3) * 16);
}

TEST_F(TrainerTest, HasNothingToDoAfterItsLastStep) {
  ASSERT_TRUE(RunTraining(*setting_, 2).status.ok());
  const TrainOutcome again = RunTraining(*setting_, 2);
  ASSERT_TRUE(again.status.ok()) << again.status;
  EXPECT_TRUE(again.events.steps.empty());
  EXPECT_TRUE(again.events.saved.empty());
  EXPECT_EQ(again.summaries[1].last_step, 5);
  EXPECT_EQ(again.summaries[1].tokens_per_second, 0.0);
}

TEST_F(TrainerTest, StopsWhenItsTimeIsUp) {
  setting_->options.steps = 1'000'000;
  setting_->options.time_limit = absl::ZeroDuration();
  const TrainOutcome outcome = RunTraining(*setting_, 3);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  for (const TrainSummary& summary : outcome.summaries) {
    EXPECT_EQ(summary.stopped, StopReason::kTime);
    EXPECT_EQ(summary.last_step, 1);
  }
  EXPECT_EQ(outcome.events.validated, (Steps{0, 1}));
  EXPECT_EQ(outcome.events.saved, (Steps{1}));
}

TEST_F(TrainerTest, StopsWithACheckpointWhenOneRankIsAsked) {
  const TrainOutcome straight = RunTraining(*MakeTrainSetting(Folder()), 3);
  int asked = 0;  // on rank 2 alone
  setting_->stop_requested = [&](int rank) { return rank == 2 && ++asked == 3; };
  const TrainOutcome stopped = RunTraining(*setting_, 3);
  ASSERT_TRUE(stopped.status.ok()) << stopped.status;
  for (const TrainSummary& summary : stopped.summaries) {
    EXPECT_EQ(summary.stopped, StopReason::kRequest);
    EXPECT_EQ(summary.last_step, 3);
  }
  EXPECT_EQ(stopped.events.saved, (Steps{3}));
  EXPECT_EQ(stopped.events.validated, (Steps{0})) << "there may be no time for it";

  setting_->stop_requested = nullptr;
  const TrainOutcome resumed = RunTraining(*setting_, 3);
  ASSERT_TRUE(resumed.status.ok()) << resumed.status;
  EXPECT_EQ(resumed.events.starts[0].first, 3);
  std::vector<double> losses = Losses(stopped);
  for (const double loss : Losses(resumed)) losses.push_back(loss);
  EXPECT_EQ(losses, Losses(straight)) << "not the same bits";
}

TEST_F(TrainerTest, AskedToStopSavesOnlyWhereCheckpointsAreKept) {
  setting_->stop_requested = [](int) { return true; };
  setting_->options.checkpoint.save_at_end = false;
  EXPECT_TRUE(RunTraining(*setting_, 2).events.saved.empty());
  setting_->options.checkpoint.every_steps = 100;
  EXPECT_EQ(RunTraining(*setting_, 2).events.saved, (Steps{1}));
}

TEST_F(TrainerTest, RefusesACheckpointOfOtherData) {
  setting_->options.steps = 2;
  ASSERT_TRUE(RunTraining(*setting_, 2).status.ok());
  setting_->options.steps = 4;
  setting_->data.swap(setting_->validation);
  const TrainOutcome refused = RunTraining(*setting_, 2);
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kFailedPrecondition) << refused.status;
  for (const char* part :
       {"run/checkpoints/step-00000002 was trained on other data: domain 'words' "
        "has ",
        "data.allow_change"}) {
    EXPECT_NE(refused.status.message().find(part), std::string::npos) << refused.status;
  }
  setting_->options.allow_other_data = true;
  const TrainOutcome allowed = RunTraining(*setting_, 2);
  ASSERT_TRUE(allowed.status.ok()) << allowed.status;
  EXPECT_EQ(allowed.events.starts[0].first, 2);
  ASSERT_EQ(allowed.events.warnings.size(), 2u);
  EXPECT_NE(allowed.events.warnings[0].find("trained on other data"), std::string::npos);
  EXPECT_NE(allowed.events.warnings[1].find("validated on other data"), std::string::npos);
}

TEST_F(TrainerTest, AFailingDiskCostsCheckpointsAndNotTheRun) {
  for (const int ranks : {1, 3}) {
    setting_ = MakeTrainSetting(Folder());
    setting_->options.checkpoint.every_steps = 1;
    InMemoryFileSystem& files = setting_->files;
    const TrainOutcome outcome = RunTraining(*setting_, ranks, [&](TrainEvents& events) {
      events.after_step = [&](int64_t step) {
        if (step == 2) files.FailOperations(files.num_operations());
        // After the start of the save, in the middle of its files.
        if (step == 4) files.FailOperations(files.num_operations() + 5, 1);
        if (step == 3 || step == 5) files.StopFailing();
      };
    });
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(outcome.events.saved, (Steps{1, 3, 5}));
    ASSERT_EQ(outcome.events.warnings.size(), 2u);
    EXPECT_NE(outcome.events.warnings[0].find("no checkpoint of step 2: "), std::string::npos);
    EXPECT_NE(outcome.events.warnings[0].find("No space left on device"), std::string::npos);
    EXPECT_NE(outcome.events.warnings[1].find("no checkpoint of step 4: "), std::string::npos);
    EXPECT_EQ(SavedSteps(*setting_), (Steps{5, 3}));
  }
}

TEST_F(TrainerTest, NamesTheStepWhoseLossIsNotFinite) {
  setting_->options.optimizer.schedule.peak = 1e30;
  const TrainOutcome outcome = RunTraining(*setting_, 2);
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kDataLoss) << outcome.status;
  EXPECT_NE(outcome.status.message().find("step 2: loss is"), std::string::npos) << outcome.status;
  for (const absl::Status& status : outcome.statuses) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << "one rank went on: " << status;
  }
}

TEST_F(TrainerTest, RefusesMoreRanksThanSequences) {
  setting_->options.batch.sequences = 3;
  const TrainOutcome outcome = RunTraining(*setting_, 4);
  for (const absl::Status& status : outcome.statuses) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_NE(status.message().find("batch.sequences is 3, fewer than the 4 ranks"),
              std::string::npos)
        << status;
  }
}

TEST_F(TrainerTest, ATokenOutsideTheVocabularyEndsAllRanks) {
  std::vector<int32_t> tokens(400, 7);
  tokens[200] = 300;
  const std::string path = Folder() + "bad.bin";
  ASSERT_TRUE(WriteNanoGpt(path, tokens).ok());
  DatasetOptions data;
  data.sources = {{"bad", {path}, 1.0, TokenFormat::kNanoGpt}};
  data.sequence_length = 16;
  auto opened = TokenDataset::Open(data);
  ASSERT_TRUE(opened.ok()) << opened.status();
  setting_->data = *std::move(opened);
  setting_->options.steps = 10;  // more than an epoch: somebody meets it
  const auto start = std::chrono::steady_clock::now();
  const TrainOutcome outcome = RunTraining(*setting_, 4);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << "ranks hung";
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kOutOfRange) << outcome.status;
  EXPECT_NE(outcome.status.message().find("300"), std::string::npos) << outcome.status;
  EXPECT_NE(outcome.status.message().find("bad.bin"), std::string::npos) << outcome.status;
  for (const absl::Status& status : outcome.statuses) {
    EXPECT_EQ(status, outcome.statuses[0]) << "ranks disagree";
  }
}

TEST_F(TrainerTest, WarnsOfNewerCheckpoints) {
  setting_->options.checkpoint.every_steps = 3;
  ASSERT_TRUE(RunTraining(*setting_, 2).status.ok());
  setting_->options.checkpoint.resume = "run/checkpoints/step-00000003";
  const TrainOutcome outcome = RunTraining(*setting_, 2);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  ASSERT_EQ(outcome.events.warnings.size(), 1u);
  EXPECT_NE(outcome.events.warnings[0].find("step-00000005 is newer"), std::string::npos)
      << outcome.events.warnings[0];
}

TEST_F(TrainerTest, NamesADamagedCheckpoint) {
  ASSERT_TRUE(RunTraining(*setting_, 2).status.ok());
  const std::string path = "run/checkpoints/step-00000005/model-00002-of-00002.safetensors";
  const std::string whole((*setting_->files.Map(path))->text());
  // In the values, and in the header: the length, the name of a tensor.
  for (const size_t place : {whole.size() - 1, size_t{4}, whole.find("model.layers") + 2}) {
    std::string bytes = whole;
    bytes[place] = static_cast<char>(bytes[place] ^ 1);
    const auto file = setting_->files.Create(path);
    ASSERT_TRUE(file.ok() && (*file)->Append(std::string_view(bytes)).ok() &&
                (*file)->Close().ok());
    const TrainOutcome outcome = RunTraining(*setting_, 2);
    for (const absl::Status& status : outcome.statuses) {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
      for (const char* part : {"model-00002-of-00002", "step-00000005 is damaged: remove it",
                               "checkpoint.resume=PATH"}) {
        EXPECT_NE(status.message().find(part), std::string::npos) << status;
      }
    }
  }
}

TEST_F(TrainerTest, RefusesACheckpointOfAnotherModel) {
  ASSERT_TRUE(RunTraining(*setting_, 2).status.ok());
  setting_->options.model.hidden = 20;
  const TrainOutcome outcome = RunTraining(*setting_, 2);
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kFailedPrecondition) << outcome.status;
  EXPECT_NE(outcome.status.message().find("hidden"), std::string::npos) << outcome.status;
}

}  // namespace
}  // namespace equipoise::parallel
