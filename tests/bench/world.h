#ifndef EQUIPOISE_TESTS_BENCH_WORLD_H_
#define EQUIPOISE_TESTS_BENCH_WORLD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "core/device/context.h"
#include "core/device/device.h"
#include "core/device/workspace.h"
#include "core/tensor/tensor.h"

namespace equipoise::bench {

// What one rank does.
using RankBody = std::function<absl::Status(comm::Communicator& world)>;

// The main() of a benchmark: parses Abseil's flags and runs `body` on every rank of --world=thread
// (--ranks threads of this process) or --world=mpi (the processes that mpirun started). Returns the
// exit status.
int RunOnWorld(int argc, char** argv, const RankBody& body);

// Nanoseconds since any moment: of the wall clock, or, with --clock=cpu, those that the calling
// thread has run. The latter compares code on a machine that others use too; it leaves out whatever
// a rank sleeps for, so figures to quote are of the wall clock.
int64_t Now();

// A rank's device, stream and workspaces. Not thread-safe; one per rank.
class RankMemory {
 public:
  static absl::StatusOr<std::unique_ptr<RankMemory>> Create();
  const Context& context() const { return context_; }
  Device& device() { return *device_; }

 private:
  RankMemory() = default;

  std::unique_ptr<Device> device_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Workspace> scratch_;
  std::unique_ptr<Workspace> activations_;
  Context context_;
};

// Times what all ranks do together: from a barrier to the moment the last one is done.
class Stopwatch {
 public:
  // Both outlive it.
  static absl::StatusOr<Stopwatch> Create(comm::Communicator& world, RankMemory& memory);

  // Seconds of `work`, the same on every rank. Collective.
  absl::StatusOr<double> Time(const std::function<absl::Status()>& work);

 private:
  Stopwatch(comm::Communicator& world, RankMemory& memory, Tensor seconds)
      : world_(&world), memory_(&memory), seconds_(std::move(seconds)) {}

  comm::Communicator* world_;
  RankMemory* memory_;
  Tensor seconds_;  // F64 [1]
};

}  // namespace equipoise::bench

#endif  // EQUIPOISE_TESTS_BENCH_WORLD_H_
