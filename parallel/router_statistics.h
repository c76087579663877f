#ifndef EQUIPOISE_PARALLEL_ROUTER_STATISTICS_H_
#define EQUIPOISE_PARALLEL_ROUTER_STATISTICS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "core/device/context.h"
#include "core/tensor/tensor.h"
#include "parallel/train_options.h"
#include "routing/router.h"

namespace equipoise::parallel {

// The sums behind the auxiliary losses of all MoE layers, over micro-batches and ranks.
//
// Two invariants keep a step's loss independent of its layout:
//   1. Every token is counted once per step: a layer that is run again (recompute), or run for
//      validation, records nothing.
//   2. A backward pass sees sums over the whole step or nothing: this step's when there is one
//      micro-batch (reduced while the forward pass goes on), else the previous step's.
//
// One per rank; belongs to one thread; world and routers outlive it.
class RouterStatistics {
 public:
  static absl::StatusOr<std::unique_ptr<RouterStatistics>> Create(
      Device& device, comm::Communicator& world, std::vector<const routing::Router*> routers,
      LoadSource source);

  // Sets this step's sums to zero. `batch_tokens`: tokens of the step over all ranks.
  void BeginStep(const Context& context, int64_t batch_tokens);
  // Announces a micro-batch of `tokens` tokens over all ranks.
  void BeginMicroBatch(int64_t tokens) { running_tokens_ += tokens; }

  // Adds the partial sums of a micro-batch of MoE layer `index` (its position among the routers)
  // and, where the backward pass needs them at once, starts their reduction. Collective.
  // `place`, here and below, names the wait.
  absl::Status Record(const Context& context, int index, ConstTensorView partials,
                      const comm::WaitPlace& place = {});

  // What Router::Backward takes; waits for the reduction. Absent sums: no gradient from terms that
  // need them.
  absl::StatusOr<routing::RouterBackwardInput> ForBackward(const Context& context, int index,
                                                           const comm::WaitPlace& place = {});

  // Reduces what is not reduced yet (at most one all-reduce for all layers) and makes this step's
  // sums the previous ones of the next. Collective.
  absl::Status EndStep(const Context& context, const comm::WaitPlace& place = {});

  // After EndStep: sums of the step just ended, and the sums its backward passes took as load
  // (empty: none). Host values.
  std::vector<double> Sums(int index) const;
  std::vector<double> Load(int index) const;
  int64_t tokens() const { return tokens_; }
  int64_t load_tokens(int index) const;

  // For checkpoints: the sums that the next step would use as the previous step's. Exact.
  std::vector<double> ExportPrevious() const;
  int64_t previous_tokens() const { return previous_tokens_; }
  // Whether the backward pass of layer `index` takes the previous step's sums.
  bool UsesPreviousStep(int index) const;
  // As exported; segments of NaNs are not known. InvalidArgument when the length is not that of
  // this model.
  absl::Status ImportPrevious(const std::vector<double>& sums, int64_t tokens);

 private:
  RouterStatistics() = default;
  TensorView Slice(Tensor& buffer, int index) const;
  std::vector<double> HostSlice(const Tensor& buffer, int index) const;
  // Whether the backward pass of the layer needs the sums of this very step.
  bool ReducesInForward(int index) const;

  Device* device_ = nullptr;
  comm::Communicator* world_ = nullptr;
  std::vector<const routing::Router*> routers_;
  LoadSource source_ = LoadSource::kCurrentStep;

  std::vector<int64_t> offset_;      // [layers + 1], of each layer in the buffers
  Tensor local_;                     // F64, this rank's sums so far
  Tensor reduced_;                   // F64, over all ranks
  Tensor load_;                      // F64, the previous step's sums while this step runs
  Tensor previous_;                  // F64, what the next step will find in load_
  std::vector<comm::Work> pending_;  // per layer
  int64_t tokens_ = 0;               // of the step
  int64_t running_tokens_ = 0;       // of its micro-batches so far
  int64_t load_tokens_ = 0;
  int64_t previous_tokens_ = 0;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_ROUTER_STATISTICS_H_
