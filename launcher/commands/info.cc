#include "launcher/commands/info.h"

#include <cstdio>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "comm/backends/mpi/communicator.h"
#include "comm/backends/self/communicator.h"
#include "comm/topology.h"
#include "core/base/status_macros.h"
#include "core/device/context.h"
#include "core/device/device.h"
#include "core/device/workspace.h"
#include "core/ops/cpu/build_info.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/flags.h"
#include "launcher/version.h"
#include "parallel/expert_exchange.h"
#include "routing/router.h"

namespace equipoise::launcher {
namespace {

constexpr size_t kWorkspaceBytes = size_t{1} << 20;

// Collective over the job.
absl::StatusOr<std::string> DescribeTopology(const Launch& launch) {
  std::unique_ptr<comm::MpiWorld> world;
  std::unique_ptr<comm::Communicator> alone;
  if (launch.num_ranks.has_value()) {
    EQ_ASSIGN_OR_RETURN(world, comm::MpiWorld::Create());
  } else {
    alone = comm::MakeSelfCommunicator();
  }
  comm::Communicator& ranks = world != nullptr ? world->communicator() : *alone;
  const std::unique_ptr<Device> device = MakeCpuDevice();
  const std::unique_ptr<Stream> stream = MakeCpuStream();
  EQ_ASSIGN_OR_RETURN(const auto workspace, Workspace::Create(*device, kWorkspaceBytes));
  const Context context{device.get(), stream.get(), workspace.get(), workspace.get()};
  EQ_ASSIGN_OR_RETURN(const comm::Topology topology, comm::Topology::Discover(ranks, context));
  return topology.ToString();
}

}  // namespace

std::string InfoHelp() {
  return "Usage: [mpirun -np RANKS] equipoise info\n\n"
         "Prints what was built into this program and, under mpirun, which rank runs on which "
         "node.\n";
}

int RunInfoCommand(const Invocation& invocation) {
  const absl::Status flags = ParseFlags(invocation.arguments, {});
  if (!flags.ok()) {
    return FailJob(invocation.launch,
                   absl::StrCat(flags.message(), "\nequipoise info --help says more."),
                   ExitCode::kConfig);
  }
  const absl::StatusOr<std::string> topology = DescribeTopology(invocation.launch);
  if (!topology.ok()) {
    return FailJob(invocation.launch, std::string(topology.status().message()),
                   ExitCodeOf(topology.status()));
  }
  if (invocation.launch.rank != 0) return static_cast<int>(ExitCode::kDone);
  const std::string text = absl::StrCat(
      "version    ", kVersion, "\n", "compiler   ", kCompiler, "\n", "device     ",
      MakeCpuDevice()->description(), "\n", "cuda       ", EQUIPOISE_CUDA, "\n", "oneDNN     ",
      cpu::OneDnnVersion(), "\n", "Highway    ", cpu::VectorTarget(), "\n",
      "comm       self, mpi (", comm::MpiLibraryVersion(), ")\n", "exchange   ",
      absl::StrJoin(parallel::ExpertExchangeNames(), ", "), "\n", "routers    ",
      absl::StrJoin(routing::RouterKinds(), ", "), "\n", "topology   ", *topology, "\n",
      invocation.launch.num_ranks.has_value() ? "" : "           (mpirun -np N for more ranks)\n");
  std::fputs(text.c_str(), stdout);
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace equipoise::launcher
