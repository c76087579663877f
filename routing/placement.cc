#include "routing/placement.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace equipoise::routing {

ExpertPlacement::ExpertPlacement(std::vector<int> owner_of, int num_owners)
    : owner_of_(std::move(owner_of)),
      slot_of_(owner_of_.size()),
      expert_at_(owner_of_.size()),
      first_slot_(static_cast<size_t>(num_owners) + 1, 0) {
  for (const int owner : owner_of_) ++first_slot_[static_cast<size_t>(owner) + 1];
  for (size_t r = 1; r < first_slot_.size(); ++r) first_slot_[r] += first_slot_[r - 1];
  std::vector<int> next(first_slot_.begin(), first_slot_.end() - 1);
  for (size_t expert = 0; expert < owner_of_.size(); ++expert) {
    const int slot = next[static_cast<size_t>(owner_of_[expert])]++;
    slot_of_[expert] = slot;
    expert_at_[static_cast<size_t>(slot)] = static_cast<int>(expert);
  }
}

ExpertPlacement ExpertPlacement::Contiguous(int num_experts, int num_owners) {
  EQ_CHECK_GE(num_experts, 1);
  EQ_CHECK_GE(num_owners, 1);
  const int base = num_experts / num_owners;
  const int larger = num_experts % num_owners;
  std::vector<int> owner_of;
  owner_of.reserve(static_cast<size_t>(num_experts));
  for (int owner = 0; owner < num_owners; ++owner) {
    owner_of.insert(owner_of.end(), static_cast<size_t>(base + (owner < larger ? 1 : 0)), owner);
  }
  return ExpertPlacement(std::move(owner_of), num_owners);
}

absl::StatusOr<ExpertPlacement> ExpertPlacement::FromTable(std::vector<int> owner_of,
                                                           int num_owners) {
  if (num_owners < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("expert placement over ", num_owners, " owners: at least one is needed"));
  }
  if (owner_of.empty()) return absl::InvalidArgumentError("expert placement has no expert");
  for (size_t expert = 0; expert < owner_of.size(); ++expert) {
    if (owner_of[expert] < 0 || owner_of[expert] >= num_owners) {
      return absl::InvalidArgumentError(absl::StrCat("expert ", expert, " is placed on owner ",
                                                     owner_of[expert], ", not in [0, ", num_owners,
                                                     ")"));
    }
  }
  return ExpertPlacement(std::move(owner_of), num_owners);
}

}  // namespace equipoise::routing
