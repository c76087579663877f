#include "routing/capacity_limit.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "routing/capacity.h"

namespace equipoise::routing {
namespace {

// Of a sequence in Pass::sequences.
constexpr size_t kWidth = 4;

RouteAngles Load(std::span<const double> sequences, size_t index) {
  const auto at = sequences.subspan(index * kWidth, kWidth);
  return {at[0], at[1], at[2]};
}

void Store(const RouteAngles& angles, size_t index, std::span<double> sequences) {
  const auto at = sequences.subspan(index * kWidth, kWidth);
  at[0] = angles.copies;
  at[1] = angles.sum;
  at[2] = angles.largest;
}

}  // namespace

CapacityLimit::CapacityLimit(const RouterOptions& options, RouteAngleOptions angles)
    : options_(options),
      angles_(std::move(angles)),
      clamp_{options.num_experts, angles_.dimensions, options.capacity.floor},
      measures_(angles_.dimensions > 0 &&
                (options.measure_angles || options.capacity.floor > 0.0)) {}

CapacityLimit::Pass CapacityLimit::Begin(const Context& context, const RouterInput& input,
                                         int64_t tile_rows, int64_t copies) const {
  Pass pass;
  if (!measures_) return pass;
  Workspace& scratch = *context.scratch;
  const int64_t sequences = input.x.dim(0) / input.sequence_length;
  pass.sequences =
      scratch.Allocate(DType::kF64, {sequences * static_cast<int64_t>(kWidth)}).cpu<double>();
  std::fill(pass.sequences.begin(), pass.sequences.end(), 0.0);
  for (size_t i = 0; i < static_cast<size_t>(sequences); ++i) Store({}, i, pass.sequences);
  if (angles_.source == nullptr) return pass;
  pass.prepared = angles_.source->Prepare(context);
  pass.cosines = scratch.Allocate(input.x.dtype(), {tile_rows, copies});
  return pass;
}

void CapacityLimit::AddTile(const Context& context, ConstTensorView x, const ScoreTile& tile,
                            int64_t sequence_length, const Pass& pass) const {
  const int64_t copies = tile.selected.dim(1);
  const TensorView cosines = pass.cosines.Rows(0, tile.num_rows());
  angles_.source->Cosines(context, x, tile, pass.prepared, cosines);
  DispatchFloat(cosines.dtype(), [&]<typename T>() {
    const int32_t* ids = tile.selected.cpu<int32_t>().data();
    const T* of_copy = cosines.cpu<T>().data();
    const int64_t last = tile.first_row + tile.num_rows();
    for (int64_t row = tile.first_row; row < last;) {
      const int64_t sequence = row / sequence_length;
      const int64_t end = std::min(last, (sequence + 1) * sequence_length);
      RouteAngles angles = Load(pass.sequences, static_cast<size_t>(sequence));
      for (const T* stop = of_copy + (end - row) * copies; of_copy != stop; ++of_copy, ++ids) {
        if (*ids >= 0) angles.Add(static_cast<double>(*of_copy));
      }
      Store(angles, static_cast<size_t>(sequence), pass.sequences);
      row = end;
    }
  });
}

void CapacityLimit::AddReport(int64_t index, const SequenceReport& report, const Pass& pass) const {
  if (!measures_) return;
  const auto at = static_cast<size_t>(index);
  if (angles_.source == nullptr) Store(report.angles, at, pass.sequences);
  pass.sequences[at * kWidth + 3] = static_cast<double>(report.capacity);
}

int64_t CapacityLimit::Apply(const Context& context, int64_t sequence_length, const Pass& pass,
                             const RouterOutput& output, std::span<double> sums) const {
  if (!measures_) {
    return ApplyCapacity(context, options_.capacity, sequence_length, options_.num_experts,
                         output.expert_ids, output.gates);
  }
  EQ_CHECK_EQ(sums.size(), size_t{kNumSums});
  const bool limits = options_.capacity.factor > 0.0;
  const size_t sequences = pass.sequences.size() / kWidth;
  WorkspaceFrame frame(*context.scratch);
  const auto capacities =
      context.scratch->Allocate(DType::kI64, {static_cast<int64_t>(sequences)}).cpu<int64_t>();
  for (size_t i = 0; i < sequences; ++i) {
    const RouteAngles angles = Load(pass.sequences, i);
    double capacity = pass.sequences[i * kWidth + 3];
    if (limits) {
      capacities[i] = clamp_.Apply(
          ExpertCapacity(options_.capacity, sequence_length, options_.num_experts, options_.top_k),
          angles, sequence_length);
      const double given = static_cast<double>(capacities[i]);
      capacity = capacity > 0.0 ? std::min(capacity, given) : given;
    }
    sums[kCopies] += angles.copies;
    sums[kCosines] += angles.sum;
    sums[kSequences] += 1.0;
    sums[kLargest] += angles.largest;
    sums[kFloors] += clamp_.Floor(angles, sequence_length);
    sums[kCapacities] += capacity;
  }
  if (!limits) return 0;
  return ApplyCapacities(context, capacities, sequence_length, options_.num_experts,
                         output.expert_ids, output.gates);
}

RouterFigures CapacityLimit::Figures(std::span<const double> sums) const {
  if (!measures_ || sums[kSequences] == 0.0) return {};
  const double sequences = sums[kSequences];
  RouterFigures figures = {
      {"route_cosine", sums[kCopies] > 0.0 ? sums[kCosines] / sums[kCopies] : 0.0},
      {"route_cosine_max", sums[kLargest] / sequences},
      {"capacity_floor", sums[kFloors] / sequences}};
  if (sums[kCapacities] > 0.0) figures.emplace_back("capacity", sums[kCapacities] / sequences);
  return figures;
}

}  // namespace equipoise::routing
