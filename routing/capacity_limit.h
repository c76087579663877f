#ifndef EQUIPOISE_ROUTING_CAPACITY_LIMIT_H_
#define EQUIPOISE_ROUTING_CAPACITY_LIMIT_H_

#include <cstdint>
#include <memory>
#include <span>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/angles.h"
#include "routing/capacity_floor.h"
#include "routing/router.h"
#include "routing/score_tile.h"
#include "routing/sequence_selector.h"

namespace equipoise::routing {

// A score-based router's capacity, kept above LocMoE's floor if it shall be, and both of them as
// telemetry. Angles are of the copies as chosen, before capacity, sequence by sequence, so that
// neither the floor nor what is told depends on the layout. Immutable; one router's.
class CapacityLimit {
 public:
  CapacityLimit(const RouterOptions& options, RouteAngleOptions angles);

  // Doubles of the router's sums: copies, the sum of their cosines; sequences, and sums over them
  // of the largest cosine, of the floor and of the capacity. None where nothing is measured.
  int64_t num_statistics() const { return measures_ ? int64_t{kNumSums} : 0; }
  bool clamps() const { return options_.capacity.factor > 0.0 && clamp_.dimensions > 0; }

  // What a forward pass keeps of its sequences, in context.scratch.
  struct Pass {
    std::span<double> sequences;  // [sequences, 4]: RouteAngles, then the capacity if it is told
    ConstTensorView prepared;
    TensorView cosines;  // [most rows of a tile, K]
  };
  Pass Begin(const Context& context, const RouterInput& input, int64_t tile_rows,
             int64_t copies) const;
  // Whether AddTile wants to see every tile.
  bool reads_tiles() const { return measures_ && angles_.source != nullptr; }
  // A tile that has been chosen for; x [n, H]: what its logits were made of.
  void AddTile(const Context& context, ConstTensorView x, const ScoreTile& tile,
               int64_t sequence_length, const Pass& pass) const;
  // What a SequenceSelector tells of sequence `index`.
  void AddReport(int64_t index, const SequenceReport& report, const Pass& pass) const;
  // Drops what is beyond the capacity, and adds to `sums`, this limit's segment. Returns the number
  // dropped.
  int64_t Apply(const Context& context, int64_t sequence_length, const Pass& pass,
                const RouterOutput& output, std::span<double> sums) const;

  RouterFigures Figures(std::span<const double> sums) const;

 private:
  enum Sum : size_t { kCopies, kCosines, kSequences, kLargest, kFloors, kCapacities, kNumSums };

  const RouterOptions options_;
  const RouteAngleOptions angles_;
  const CapacityClamp clamp_;
  const bool measures_;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_CAPACITY_LIMIT_H_
