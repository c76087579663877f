#include "parallel/copy_routes.h"

#include <utility>

namespace equipoise::parallel {

CopyRoutes::CopyRoutes(const ExchangeCounts& counts, int chunk,
                       const routing::ExpertPlacement& placement)
    : num_slots_(static_cast<size_t>(placement.num_experts())) {
  const int ranks = counts.num_ranks();
  const int slots = placement.num_experts();
  for (int owner = 0; owner <= ranks; ++owner) first_slot_.push_back(placement.first_slot(owner));
  for (int rank = 0; rank < ranks; ++rank) {
    int64_t next = 0;
    for (int slot = 0; slot < slots; ++slot) {
      copies_.push_back(counts.copies(chunk, rank, slot));
      at_home_.push_back(std::exchange(next, next + copies_.back()));
    }
  }
  at_expert_.resize(copies_.size());
  for (int owner = 0; owner < ranks; ++owner) {
    int64_t next = 0;
    for (int slot = placement.first_slot(owner); slot < placement.first_slot(owner + 1); ++slot) {
      for (int rank = 0; rank < ranks; ++rank) {
        at_expert_[At(rank, slot)] = std::exchange(next, next + copies_[At(rank, slot)]);
      }
    }
    rows_.push_back(next);
  }
}

std::vector<comm::RowRun> CopyRoutes::ToExperts(int home, int owner) const {
  std::vector<comm::RowRun> runs;
  const size_t o = static_cast<size_t>(owner);
  for (int slot = first_slot_[o]; slot < first_slot_[o + 1]; ++slot) {
    const size_t i = At(home, slot);
    if (copies_[i] > 0) runs.push_back({at_home_[i], at_expert_[i], copies_[i]});
  }
  return runs;
}

std::vector<comm::RowRun> CopyRoutes::ToHome(int owner, int home) const {
  std::vector<comm::RowRun> runs = ToExperts(home, owner);
  for (comm::RowRun& run : runs) std::swap(run.from, run.to);
  return runs;
}

std::vector<int64_t> CopyRoutes::Offsets(int owner) const {
  const size_t o = static_cast<size_t>(owner);
  std::vector<int64_t> offsets;
  for (int slot = first_slot_[o]; slot < first_slot_[o + 1]; ++slot) {
    offsets.push_back(at_expert_[At(0, slot)]);
  }
  offsets.push_back(rows_[o]);
  return offsets;
}

}  // namespace equipoise::parallel
