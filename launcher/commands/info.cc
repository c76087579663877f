#include "launcher/commands/info.h"

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "comm/backends/mpi/communicator.h"
#include "comm/backends/self/communicator.h"
#include "comm/link_model.h"
#include "comm/measure_links.h"
#include "comm/topology.h"
#include "core/base/status_macros.h"
#include "core/device/context.h"
#include "core/device/device.h"
#include "core/device/workspace.h"
#include "core/io/atomic_file.h"
#include "core/io/file_system.h"
#include "core/ops/cpu/build_info.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/flags.h"
#include "launcher/version.h"
#include "parallel/expert_exchange.h"
#include "routing/router.h"

ABSL_FLAG(std::string, links, "",
          "A file to write the links' costs to, for layout.links.file of a configuration.");

namespace equipoise::launcher {
namespace {

constexpr size_t kWorkspaceBytes = size_t{1} << 26;

std::vector<FlagUse> FlagUses() { return {{"links", "FILE"}}; }

struct JobNetwork {
  comm::Topology topology;
  comm::LinkModel links;
};

// Collective over the job.
absl::StatusOr<JobNetwork> FindNetwork(const Launch& launch) {
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
  JobNetwork network;
  EQ_ASSIGN_OR_RETURN(network.topology, comm::Topology::Discover(ranks, context));
  EQ_ASSIGN_OR_RETURN(network.links, comm::MeasureLinks(ranks, network.topology, context));
  return network;
}

// Nothing to do without the flag, or in a job of one rank, which has no links.
absl::Status WriteLinks(const std::string& path, const comm::LinkModel& links) {
  if (path.empty()) return absl::OkStatus();
  const std::string text = comm::LinksToText(links);
  return WriteFileAtomically(*NewPosixFileSystem(), path, text);
}

}  // namespace

std::string InfoHelp() {
  return absl::StrCat(
      "Usage: [mpirun -np RANKS] equipoise info [--links=FILE]\n\n"
      "Prints what was built into this program and, under mpirun, which rank runs on which node\n"
      "and what the links between them cost.\n\n",
      DescribeFlags(FlagUses()));
}

int RunInfoCommand(const Invocation& invocation) {
  const absl::Status flags = ParseFlags(invocation.arguments, FlagUses());
  if (!flags.ok()) {
    return FailJob(invocation.launch,
                   absl::StrCat(flags.message(), "\nequipoise info --help says more."),
                   ExitCode::kConfig);
  }
  const absl::StatusOr<JobNetwork> network = FindNetwork(invocation.launch);
  if (!network.ok()) {
    return FailJob(invocation.launch, std::string(network.status().message()),
                   ExitCodeOf(network.status()));
  }
  if (invocation.launch.rank != 0) return static_cast<int>(ExitCode::kDone);
  const std::string text = absl::StrCat(
      "version    ", kVersion, "\n", "compiler   ", kCompiler, "\n", "device     ",
      MakeCpuDevice()->description(), "\n", "cuda       ", EQUIPOISE_CUDA, "\n", "oneDNN     ",
      cpu::OneDnnVersion(), "\n", "Highway    ", cpu::VectorTarget(), "\n",
      "comm       self, mpi (", comm::MpiLibraryVersion(), ")\n", "exchange   ",
      absl::StrJoin(parallel::ExpertExchangeNames(), ", "), "\n", "routers    ",
      absl::StrJoin(routing::RouterKinds(), ", "), "\n", "topology   ",
      network->topology.ToString(), "\n", "links      ", comm::Describe(network->links), "\n",
      invocation.launch.num_ranks.has_value() ? "" : "           (mpirun -np N for more ranks)\n");
  std::fputs(text.c_str(), stdout);
  const absl::Status written = WriteLinks(absl::GetFlag(FLAGS_links), network->links);
  if (!written.ok()) {
    return FailJob(invocation.launch, absl::StrCat("--links: ", written.message()),
                   ExitCode::kConfig);
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace equipoise::launcher
