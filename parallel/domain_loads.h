#ifndef EQUIPOISE_PARALLEL_DOMAIN_LOADS_H_
#define EQUIPOISE_PARALLEL_DOMAIN_LOADS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "core/device/context.h"
#include "core/tensor/tensor.h"

namespace equipoise::parallel {

// How many token copies of each domain of the data each expert gets, for every MoE layer: who
// specialises in what, on text that is not trained on. Copies as sent, so after any capacity.
//
// A table [layers, domains, experts] of exact integers over forward passes, then over ranks. One
// per rank; belongs to one thread.
class DomainLoads {
 public:
  static absl::StatusOr<DomainLoads> Create(Device& device, int layers, int domains, int experts);

  void Clear();
  // Counts the copies of MoE layer `index` (its position among the MoE layers).
  // expert_ids I32 [T, K], -1 for no copy; domains I32 [T].
  void Record(const Context& context, int index, ConstTensorView expert_ids,
              ConstTensorView domains);
  // Sums over ranks. Collective.
  absl::Status Reduce(const Context& context, comm::Communicator& world,
                      const comm::WaitOptions& wait);

  // [experts]
  std::span<const double> Counts(int index, int domain) const;

 private:
  DomainLoads() = default;

  size_t domains_ = 0;
  size_t experts_ = 0;
  std::vector<double> counts_;  // on the host
  Tensor sums_;                 // F64, where ranks are summed
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_DOMAIN_LOADS_H_
