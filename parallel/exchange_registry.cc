#include "parallel/expert_exchange.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "parallel/auto_exchange.h"
#include "parallel/copy_exchange.h"
#include "parallel/token_exchange.h"

namespace equipoise::parallel {
namespace {

using Made = absl::StatusOr<std::unique_ptr<ExpertExchange>>;

Made MakeFlat(comm::Communicator& group, comm::Topology topology,
              routing::ExpertPlacement placement) {
  return std::make_unique<CopyExchange>(group, std::move(topology), std::move(placement),
                                        comm::MakeFlatRowExchange(group));
}

Made MakeTwoLevel(comm::Communicator& group, comm::Topology topology,
                  routing::ExpertPlacement placement) {
  auto rows = comm::MakeTwoLevelRowExchange(group, topology);
  return std::make_unique<CopyExchange>(group, std::move(topology), std::move(placement),
                                        std::move(rows));
}

Made MakeTwoLevelDedup(comm::Communicator& group, comm::Topology topology,
                       routing::ExpertPlacement placement) {
  EQ_ASSIGN_OR_RETURN(comm::RowMulticast multicast, comm::RowMulticast::Create(group, topology));
  return std::make_unique<TokenExchange>(group, std::move(topology), std::move(placement),
                                         std::move(multicast));
}

struct Entry {
  const char* name;
  Made (*make)(comm::Communicator&, comm::Topology, routing::ExpertPlacement);
};

constexpr Entry kExchanges[] = {
    {"flat", MakeFlat}, {"two_level", MakeTwoLevel}, {"two_level_dedup", MakeTwoLevelDedup}};

// With every algorithm that can be made here: deduplication has a limit to the ranks of a node.
Made MakeAuto(comm::Communicator& group, const comm::Topology& topology,
              const routing::ExpertPlacement& placement, const ExchangeCosts& costs) {
  std::vector<std::unique_ptr<ExpertExchange>> candidates;
  for (const Entry& entry : kExchanges) {
    Made made = entry.make(group, topology, placement);
    if (made.ok()) candidates.push_back(*std::move(made));
  }
  return std::make_unique<AutoExchange>(group, topology, placement, costs, std::move(candidates));
}

constexpr char kAuto[] = "auto";

}  // namespace

std::vector<std::string> ExpertExchangeNames() {
  std::vector<std::string> names;
  for (const Entry& entry : kExchanges) names.emplace_back(entry.name);
  names.emplace_back(kAuto);
  return names;
}

Made MakeExpertExchange(const std::string& name, comm::Communicator& group, const Context& context,
                        routing::ExpertPlacement placement, const ExchangeCosts& costs) {
  const std::vector<std::string> names = ExpertExchangeNames();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no exchange named '", name, "': known are ", absl::StrJoin(names, ", ")));
  }
  EQ_ASSIGN_OR_RETURN(comm::Topology topology, comm::Topology::Discover(group, context));
  for (const Entry& entry : kExchanges) {
    if (entry.name == name) return entry.make(group, std::move(topology), std::move(placement));
  }
  return MakeAuto(group, topology, placement, costs);
}

}  // namespace equipoise::parallel
