// What the thread world shows of parallel/, under mpirun: the exchange's properties, training
// against PyTorch, and the same losses as threads give on the same layout.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/exchange/node_transport.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "parallel/expert_exchange.h"
#include "parallel/train_options.h"
#include "tests/multiprocess/rank_test.h"
#include "tests/parallel/exchange_cases.h"
#include "tests/parallel/golden_run.h"
#include "tests/parallel/layout_cases.h"

namespace equipoise::multiprocess {
namespace {

using parallel::LoadSource;
using testing_support::TraceOnThreads;
using testing_support::TrainLayout;
using testing_support::TrainTrace;
using testing_support::WorstRelative;

// Every layout of this number of ranks, against one rank and against the same layout on threads.
absl::Status LossesAreThoseOfThreads(comm::Communicator& world, DType dtype, double tolerance) {
  TrainTrace reference;
  double worst = 0.0;
  for (TrainLayout layout : testing_support::LayoutsOf(world.size())) {
    layout.nodes.clear();  // the processes are on one node
    EQ_ASSIGN_OR_RETURN(const TrainTrace trace,
                        TraceTraining(world, layout, dtype, LoadSource::kPreviousStep));
    if (world.rank() != 0) continue;
    if (reference.losses.empty()) {
      EQ_ASSIGN_OR_RETURN(reference, TraceOnThreads({}, dtype, LoadSource::kPreviousStep));
    }
    EQ_ASSIGN_OR_RETURN(const TrainTrace threads,
                        TraceOnThreads(layout, dtype, LoadSource::kPreviousStep));
    // Every sum of so small a model is added in rank order, so even the bits are the same.
    EXPECT_EQ(trace.losses, threads.losses) << layout.ToString();
    EXPECT_EQ(trace.gradient_norms, threads.gradient_norms) << layout.ToString();
    const double to_reference = WorstRelative(trace.losses, reference.losses);
    EXPECT_LE(to_reference, tolerance) << layout.ToString();
    worst = std::max(worst, to_reference);
  }
  if (world.rank() == 0) {
    std::printf("%s, %d processes: worst relative difference of a loss to one rank %.3g\n",
                Name(dtype), world.size(), worst);
  }
  return absl::OkStatus();
}

// Twice the same layout: twice the same bits, gradient norms included.
absl::Status SameLayoutGivesTheSameBits(comm::Communicator& world) {
  const TrainLayout layout = {.ranks = world.size(), .expert_parallel = world.size()};
  EQ_ASSIGN_OR_RETURN(const TrainTrace first,
                      TraceTraining(world, layout, DType::kF32, LoadSource::kAuto));
  EQ_ASSIGN_OR_RETURN(const TrainTrace second,
                      TraceTraining(world, layout, DType::kF32, LoadSource::kAuto));
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_EQ(first.gradient_norms, second.gradient_norms);
  return absl::OkStatus();
}

}  // namespace

void RegisterRankTests(comm::Communicator& world) {
  for (const testing_support::ExchangeCase& property : testing_support::ExchangeCases()) {
    for (const std::string& exchange : parallel::ExpertExchangeNames()) {
      for (const int chunks : {1, 3}) {
        for (const bool shared : {false, true}) {
          const testing_support::ExchangeKind kind = {
              exchange, chunks,
              shared ? comm::NodeTransport::kSharedMemory : comm::NodeTransport::kMessages};
          AddRankTest(
              world, "MpiExchange",
              absl::StrCat(property.name, "_", exchange, "_", chunks, "_chunks",
                           shared ? "_shared" : "_messages"),
              [property, kind](comm::Communicator& ranks) { return property.body(ranks, kind); });
        }
      }
    }
  }
  for (const std::string& golden : testing_support::Goldens()) {
    AddRankTest(world, "MpiGolden", golden, [golden](comm::Communicator& ranks) {
      return testing_support::TrainAgainstGolden(ranks, golden, /*recompute=*/false);
    });
  }
  AddRankTest(world, "MpiLayout", "LossesAreThoseOfThreadsInFloat", [](comm::Communicator& ranks) {
    return LossesAreThoseOfThreads(ranks, DType::kF32, 1e-5);
  });
  AddRankTest(world, "MpiLayout", "LossesAreThoseOfThreadsInDouble", [](comm::Communicator& ranks) {
    return LossesAreThoseOfThreads(ranks, DType::kF64, 1e-12);
  });
  AddRankTest(world, "MpiLayout", "SameLayoutGivesTheSameBits", SameLayoutGivesTheSameBits);
}

}  // namespace equipoise::multiprocess
