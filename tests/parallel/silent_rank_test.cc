// A rank that falls silent inside a layer: the others stop waiting after the world's time, with a
// message that names the operation, the layer, the step and the missing rank.

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/decorators/faulty.h"
#include "comm/exchange/node_transport.h"
#include "comm/verb.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "gtest/gtest.h"
#include "parallel/train_step.h"
#include "tests/parallel/tiny_model.h"

namespace equipoise::parallel {
namespace {

constexpr int kRanks = 3;
constexpr int kSilentRank = 1;
// Longer than any wait of a step on a busy machine, shorter than the silence.
constexpr absl::Duration kStopAfter = absl::Seconds(2);
constexpr absl::Duration kSilence = absl::Seconds(5);
// The tiny model has MoE layers at positions 1 and 2, each with two all-to-alls on the way
// forward (dispatch, combine) and two on the way back; or, where ranks share memory, exchanges of
// writes.
constexpr int64_t kCallsPerStep = 8;

// What a rank that waits for the silent one says, when that one stops before its call number `call`
// of `verb`.
std::string MessageOf(comm::Verb verb, int64_t call, int accumulation_steps) {
  std::vector<absl::Status> outcomes;
  comm::ThreadWorld::Options ranks;
  ranks.num_ranks = kRanks;
  ranks.patience.stop_after = kStopAfter;
  const absl::Status status = comm::RunRanks(
      ranks,
      [&](comm::Communicator& world) -> absl::Status {
        comm::Fault fault = {.kind = comm::Fault::Kind::kDelay,
                             .call = world.rank() == kSilentRank ? call : int64_t{1} << 40,
                             .verb = verb,
                             .delay = kSilence};
        const std::unique_ptr<comm::Communicator> faulty = comm::MakeFaulty(world, fault);
        const std::unique_ptr<Device> device = MakeCpuDevice();
        TrainOptions options = testing_support::TinyOptions(DType::kF32, 2 * kRanks);
        options.batch.accumulation_steps = accumulation_steps;
        options.layout.inside_nodes = verb == comm::Verb::kAllToAllRows
                                          ? comm::NodeTransport::kMessages
                                          : comm::NodeTransport::kSharedMemory;
        EQ_ASSIGN_OR_RETURN(const auto step, TrainStep::Create(*device, *faulty, options, 1));
        const SampleSource source = testing_support::SyntheticText(options.model.vocabulary, 1);
        for (int64_t number = 1; number <= 3; ++number) {
          EQ_RETURN_IF_ERROR(step->Run(source, number).status());
        }
        return absl::OkStatus();
      },
      &outcomes);
  EXPECT_FALSE(status.ok());
  // Of the two that wait, one gives up first and aborts the world of the other.
  for (const int rank : {0, 2}) {
    const absl::Status& outcome = outcomes[static_cast<size_t>(rank)];
    if (absl::IsDeadlineExceeded(outcome)) return std::string(outcome.message());
  }
  return status.ToString();
}

void ExpectMessage(comm::Verb verb, int64_t call, int accumulation_steps, const std::string& what) {
  const std::string message = MessageOf(verb, call, accumulation_steps);
  EXPECT_TRUE(absl::StartsWith(message, absl::StrCat(what, ": ", Name(verb), " #"))) << message;
  EXPECT_TRUE(absl::StrContains(message, " on 'expert/")) << message;
  EXPECT_TRUE(absl::StrContains(message, "; ranks that have not entered it: 1")) << message;
}

TEST(SilentRank, DispatchNamesLayerAndStep) {
  for (const comm::Verb verb : {comm::Verb::kAllToAllRows, comm::Verb::kExchangeWrites}) {
    ExpectMessage(verb, kCallsPerStep + 2, 1, "dispatch of layer 2, step 2");
  }
}

TEST(SilentRank, BackwardNamesLayerStepAndMicroBatch) {
  for (const comm::Verb verb : {comm::Verb::kAllToAllRows, comm::Verb::kExchangeWrites}) {
    ExpectMessage(verb, 3 * kCallsPerStep + 6, 2,
                  "backward combine of layer 1, step 2, micro-batch 2");
  }
}

}  // namespace
}  // namespace equipoise::parallel
