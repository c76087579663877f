#ifndef EQUIPOISE_ROUTING_PLACEMENT_H_
#define EQUIPOISE_ROUTING_PLACEMENT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace equipoise::routing {

// Which of the owners (ranks of an expert group) holds each expert. Any number of experts over any
// number of owners, in any order: an owner may hold none. A value; the same on every rank.
//
// Slot order sorts experts by (owner, expert id): the order in which token copies are sent, and in
// which an owner stores its experts.
class ExpertPlacement {
 public:
  // Contiguous runs whose sizes differ by at most one, the larger runs first: 8 experts on 3
  // owners are 3 + 3 + 2. REQUIRES: num_experts >= 1, num_owners >= 1.
  static ExpertPlacement Contiguous(int num_experts, int num_owners);
  // owner_of[e] in [0, num_owners), else InvalidArgument naming the expert.
  static absl::StatusOr<ExpertPlacement> FromTable(std::vector<int> owner_of, int num_owners);

  int num_experts() const { return static_cast<int>(owner_of_.size()); }
  int num_owners() const { return static_cast<int>(first_slot_.size()) - 1; }
  int owner_of(int expert) const { return owner_of_[static_cast<size_t>(expert)]; }
  // Slot of an expert, and the expert of a slot, in [0, num_experts()).
  int slot_of(int expert) const { return slot_of_[static_cast<size_t>(expert)]; }
  int expert_at(int slot) const { return expert_at_[static_cast<size_t>(slot)]; }
  // Slots of owner r: [first_slot(r), first_slot(r + 1)).
  int first_slot(int owner) const { return first_slot_[static_cast<size_t>(owner)]; }
  int num_experts_of(int owner) const { return first_slot(owner + 1) - first_slot(owner); }
  // Experts of an owner, ascending: its storage order.
  std::span<const int> experts_of(int owner) const {
    return std::span<const int>(expert_at_)
        .subspan(static_cast<size_t>(first_slot(owner)),
                 static_cast<size_t>(num_experts_of(owner)));
  }

 private:
  // REQUIRES: every entry in [0, num_owners).
  ExpertPlacement(std::vector<int> owner_of, int num_owners);

  std::vector<int> owner_of_;    // [E]
  std::vector<int> slot_of_;     // [E]
  std::vector<int> expert_at_;   // [E]
  std::vector<int> first_slot_;  // [owners + 1]
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_PLACEMENT_H_
