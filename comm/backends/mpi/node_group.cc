#include "comm/backends/mpi/node_group.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace equipoise::comm {
namespace {

// "s0.s1.node7" with the pattern "switch.switch.node" is "s0.s1". Slurm without a topology has the
// node alone. Names of nodes may have dots, names of switches none.
std::string SwitchesAbove(absl::string_view address, absl::string_view pattern) {
  if (!absl::EndsWith(pattern, ".node")) return "";
  const auto switches = std::count(pattern.begin(), pattern.end(), '.');
  size_t end = 0;
  for (auto i = 0; i < switches; ++i) {
    end = address.find('.', i == 0 ? 0 : end + 1);
    if (end == absl::string_view::npos) return "";
  }
  return std::string(address.substr(0, end));
}

}  // namespace

std::string NodeGroup(const Environment& environment) {
  const char* group = environment("EQUIPOISE_NODE_GROUP");
  if (group != nullptr && *group != '\0') return group;
  const char* address = environment("SLURM_TOPOLOGY_ADDR");
  const char* pattern = environment("SLURM_TOPOLOGY_ADDR_PATTERN");
  if (address == nullptr || pattern == nullptr) return "";
  return SwitchesAbove(address, pattern);
}

}  // namespace equipoise::comm
