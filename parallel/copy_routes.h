#ifndef EQUIPOISE_PARALLEL_COPY_ROUTES_H_
#define EQUIPOISE_PARALLEL_COPY_ROUTES_H_

#include <cstdint>
#include <vector>

#include "comm/exchange/placed_rows.h"
#include "comm/exchange/row_exchange.h"
#include "parallel/exchange_counts.h"
#include "routing/placement.h"

namespace equipoise::parallel {

// Where every copy of a chunk lies, at home and with its expert, on all ranks: at home in the order
// of slots (routing::DispatchPlan), at the owner sorted by expert and then by source rank
// (arrival_order.h). A copy's place follows from counts alone, so that its sender can put it there,
// and copies of one rank for one expert follow each other on both sides. A value.
class CopyRoutes {
 public:
  CopyRoutes(const ExchangeCounts& counts, int chunk, const routing::ExpertPlacement& placement);

  // Copies of rank `home` to the experts of `owner`, in the order of slots; and back.
  std::vector<comm::RowRun> ToExperts(int home, int owner) const;
  std::vector<comm::RowRun> ToHome(int owner, int home) const;

  // I64 [E_r + 1]: first row of each expert of `owner` among its rows.
  std::vector<int64_t> Offsets(int owner) const;

 private:
  size_t At(int rank, int slot) const {
    return static_cast<size_t>(rank) * num_slots_ + static_cast<size_t>(slot);
  }

  size_t num_slots_ = 0;
  std::vector<int> first_slot_;     // [R + 1]: of each owner
  std::vector<int64_t> copies_;     // [R, E]
  std::vector<int64_t> at_home_;    // [R, E]: first copy for a slot among those of a rank
  std::vector<int64_t> at_expert_;  // [R, E]: first copy from a rank among the rows of an owner
  std::vector<int64_t> rows_;       // [R]: of each owner
};

// The two directions, as comm wants them. They borrow `routes`.
class RoutesToExperts final : public comm::RowRoutes {
 public:
  explicit RoutesToExperts(const CopyRoutes& routes) : routes_(routes) {}
  std::vector<comm::RowRun> Between(int from, int to) const override {
    return routes_.ToExperts(from, to);
  }

 private:
  const CopyRoutes& routes_;
};

class RoutesToHome final : public comm::RowRoutes {
 public:
  explicit RoutesToHome(const CopyRoutes& routes) : routes_(routes) {}
  std::vector<comm::RowRun> Between(int from, int to) const override {
    return routes_.ToHome(from, to);
  }

 private:
  const CopyRoutes& routes_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_COPY_ROUTES_H_
