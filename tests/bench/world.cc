#include "tests/bench/world.h"

#include <time.h>

#include <cstdio>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/str_cat.h"
#include "comm/backends/mpi/communicator.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/collectives.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

ABSL_FLAG(std::string, world, "thread", "thread, or mpi: started by mpirun");
ABSL_FLAG(int, ranks, 2, "ranks of --world=thread");
ABSL_FLAG(std::string, clock, "wall", "wall, or cpu: what the ranks' threads have run");

namespace equipoise::bench {
namespace {

// Address space; memory follows use.
constexpr size_t kWorkspaceBytes = size_t{1} << 35;

absl::Status Run(int* argc, char*** argv, const RankBody& body) {
  const std::string world = absl::GetFlag(FLAGS_world);
  if (world == "thread") return comm::RunRanks(absl::GetFlag(FLAGS_ranks), body);
  if (world != "mpi") return absl::InvalidArgumentError(absl::StrCat("--world=", world));
  EQ_ASSIGN_OR_RETURN(const auto mpi, comm::MpiWorld::Create(argc, argv));
  const absl::Status status = body(mpi->communicator());
  if (!status.ok()) mpi->communicator().Abort(status);
  return status;
}

}  // namespace

int64_t Now() {
  // Read once: a flag of text takes a lock and is copied, which is no part of what is timed.
  static const clockid_t clock =
      absl::GetFlag(FLAGS_clock) == "wall" ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
  timespec now;
  EQ_CHECK_EQ(clock_gettime(clock, &now), 0);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int RunOnWorld(int argc, char** argv, const RankBody& body) {
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = Run(&argc, &argv, body);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

absl::StatusOr<std::unique_ptr<RankMemory>> RankMemory::Create() {
  std::unique_ptr<RankMemory> memory(new RankMemory);
  memory->device_ = MakeCpuDevice();
  memory->stream_ = MakeCpuStream();
  EQ_ASSIGN_OR_RETURN(memory->scratch_, Workspace::Create(*memory->device_, kWorkspaceBytes));
  EQ_ASSIGN_OR_RETURN(memory->activations_, Workspace::Create(*memory->device_, kWorkspaceBytes));
  memory->context_ = {memory->device_.get(), memory->stream_.get(), memory->scratch_.get(),
                      memory->activations_.get()};
  return memory;
}

absl::StatusOr<Stopwatch> Stopwatch::Create(comm::Communicator& world, RankMemory& memory) {
  EQ_ASSIGN_OR_RETURN(Tensor seconds, Tensor::Create(memory.device(), DType::kF64, {1}));
  return Stopwatch(world, memory, std::move(seconds));
}

absl::StatusOr<double> Stopwatch::Time(const std::function<absl::Status()>& work) {
  const Context& context = memory_->context();
  EQ_RETURN_IF_ERROR(comm::Barrier(*world_, context));
  const int64_t start = Now();
  EQ_RETURN_IF_ERROR(work());
  double& seconds = seconds_.view().cpu<double>()[0];
  seconds = static_cast<double>(Now() - start) * 1e-9;
  EQ_RETURN_IF_ERROR(comm::AllReduce(*world_, context, seconds_.view(), comm::ReduceOp::kMax));
  return seconds;
}

}  // namespace equipoise::bench
