#include "parallel/node_record.h"

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace equipoise::parallel {
namespace {

constexpr char kKey[] = "nodes";

}  // namespace

void RecordNodes(int nodes, Manifest& manifest) { manifest.state[kKey] = nodes; }

absl::StatusOr<std::optional<int>> RecordedNodes(const Checkpoint& checkpoint) {
  const nlohmann::json& state = checkpoint.manifest.state;
  const auto recorded = state.find(kKey);
  if (recorded == state.end()) return std::nullopt;
  if (recorded->is_number_integer()) {
    const int64_t nodes = recorded->get<int64_t>();
    if (nodes >= 1 && nodes <= std::numeric_limits<int>::max()) return static_cast<int>(nodes);
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the checkpoint ", checkpoint.path,
                   ": its manifest's record of its number of nodes is damaged"));
}

absl::StatusOr<NodeChoice> ChooseNodes(const Checkpoint& checkpoint, int asked, bool may_differ) {
  NodeChoice choice;
  choice.nodes = asked;
  EQ_ASSIGN_OR_RETURN(choice.recorded, RecordedNodes(checkpoint));
  if (!choice.recorded.has_value()) return choice;
  if (asked == 0) choice.nodes = *choice.recorded;
  if (choice.nodes == *choice.recorded) return choice;
  const std::string other = absl::StrCat("moe.locality.nodes is ", asked, ", but the checkpoint ",
                                         checkpoint.path, " was trained with ", *choice.recorded);
  if (!may_differ) {
    return absl::FailedPreconditionError(absl::StrCat(
        other, ", and another number is another experiment. Set it to ", *choice.recorded,
        " or 0; or give the changed run a directory of its own with --run_dir and set ",
        "checkpoint.resume to that checkpoint"));
  }
  choice.warning = absl::StrCat(other, ": from here on this is another experiment");
  return choice;
}

}  // namespace equipoise::parallel
