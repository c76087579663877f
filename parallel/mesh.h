#ifndef EQUIPOISE_PARALLEL_MESH_H_
#define EQUIPOISE_PARALLEL_MESH_H_

#include <memory>

#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "core/nn/parameter.h"

namespace equipoise::parallel {

// The groups of ranks that work together, folded over one world: every rank is in all three.
//   world        data parallel: all ranks see different tokens and hold the replicated parameters
//   expert       `expert_parallel` neighbouring ranks, which together hold every expert once
//   expert_data  the ranks that hold the same experts: equal positions in their expert groups
// With 4 ranks and expert_parallel 2: expert {0,1} {2,3}, expert_data {0,2} {1,3}.
class Mesh {
 public:
  // Collective over `world`, which must outlive the mesh. expert_parallel divides the number of
  // ranks, or is 0 for all of them; InvalidArgument else.
  static absl::StatusOr<std::unique_ptr<Mesh>> Create(comm::Communicator& world,
                                                      int expert_parallel);

  comm::Communicator& world() const { return *world_; }
  comm::Communicator& expert() const { return *expert_; }
  comm::Communicator& expert_data() const { return *expert_data_; }

  // The ranks that hold copies of a group's parameters, over which gradients are summed.
  comm::Communicator& replicas(ParameterGroup group) const {
    return group == ParameterGroup::kExpert ? *expert_data_ : *world_;
  }

 private:
  explicit Mesh(comm::Communicator& world) : world_(&world) {}

  comm::Communicator* world_;
  std::unique_ptr<comm::Communicator> expert_;
  std::unique_ptr<comm::Communicator> expert_data_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_MESH_H_
