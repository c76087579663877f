#include "parallel/expert_exchange.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "comm/link_estimate.h"
#include "comm/link_model.h"
#include "core/base/status_macros.h"
#include "parallel/auto_exchange.h"
#include "parallel/copy_exchange.h"
#include "parallel/exchange_forecast.h"
#include "parallel/token_exchange.h"

namespace equipoise::parallel {
namespace {

using Made = absl::StatusOr<std::unique_ptr<ExpertExchange>>;

using Setting = ExpertExchange::Setting;

Made MakeFlat(Setting setting) {
  auto rows = comm::MakeFlatRowExchange(setting.group);
  return std::make_unique<CopyExchange>(std::move(setting), std::move(rows));
}

Made MakeTwoLevel(Setting setting) {
  auto rows = comm::MakeTwoLevelRowExchange(setting.group, setting.topology);
  return std::make_unique<CopyExchange>(std::move(setting), std::move(rows));
}

Made MakeTwoLevelDedup(Setting setting) {
  EQ_ASSIGN_OR_RETURN(comm::RowMulticast multicast,
                      comm::RowMulticast::Create(setting.group, setting.topology));
  return std::make_unique<TokenExchange>(std::move(setting), std::move(multicast));
}

struct Entry {
  const char* name;
  Made (*make)(Setting setting);
};

constexpr Entry kExchanges[] = {
    {"flat", MakeFlat}, {"two_level", MakeTwoLevel}, {"two_level_dedup", MakeTwoLevelDedup}};

// With every algorithm that can be made here, and is not another by its name: deduplication has a
// limit to the ranks of a node, and on one node there is one level.
Made MakeAuto(Setting setting) {
  std::vector<std::unique_ptr<ExpertExchange>> candidates;
  for (const Entry& entry : kExchanges) {
    if (entry.make == MakeTwoLevel && setting.topology.num_nodes() == 1) continue;
    Made made = entry.make(setting);
    if (made.ok()) candidates.push_back(*std::move(made));
  }
  return std::make_unique<AutoExchange>(std::move(setting), std::move(candidates));
}

constexpr char kAuto[] = "auto";

}  // namespace

std::vector<std::string> ExpertExchangeNames() {
  std::vector<std::string> names;
  for (const Entry& entry : kExchanges) names.emplace_back(entry.name);
  names.emplace_back(kAuto);
  return names;
}

std::shared_ptr<comm::LinkEstimate> MakeLinkEstimate(const comm::LinkModel& links,
                                                     const comm::MeasuredLinks& measured) {
  return std::make_shared<comm::LinkEstimate>(links, measured,
                                              static_cast<int>(kExchangeAlgorithms.size()));
}

Made MakeExpertExchange(const std::string& name, comm::Communicator& group, const Context& context,
                        routing::ExpertPlacement placement, const ExchangeOptions& options) {
  const std::vector<std::string> names = ExpertExchangeNames();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no exchange named '", name, "': known are ", absl::StrJoin(names, ", ")));
  }
  EQ_ASSIGN_OR_RETURN(comm::Topology topology, comm::Topology::Discover(group, context));
  EQ_ASSIGN_OR_RETURN(std::shared_ptr<comm::TransferQueue> queue,
                      comm::TransferQueue::Create(group, ExpertExchange::kNumLanes));
  std::shared_ptr<comm::NodeMemory> memory;
  if (options.inside_nodes == comm::NodeTransport::kSharedMemory && options.costs.row_bytes > 0) {
    EQ_ASSIGN_OR_RETURN(
        memory, comm::NodeMemory::Create(group, topology, context, ExpertExchange::kNumLanes));
  }
  Setting setting = {group,
                     std::move(topology),
                     std::move(placement),
                     std::move(queue),
                     options.num_chunks,
                     std::move(memory),
                     options.costs.row_bytes,
                     options.costs.links != nullptr ? options.costs.links
                                                    : MakeLinkEstimate(comm::LinkModel(), {})};
  for (const Entry& entry : kExchanges) {
    if (entry.name == name) return entry.make(std::move(setting));
  }
  return MakeAuto(std::move(setting));
}

}  // namespace equipoise::parallel
