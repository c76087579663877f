#include "parallel/domain_loads.h"

#include <algorithm>

#include "comm/collectives.h"
#include "comm/host_mirror.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise::parallel {

absl::StatusOr<DomainLoads> DomainLoads::Create(Device& device, int layers, int domains,
                                                int experts) {
  DomainLoads loads;
  loads.domains_ = static_cast<size_t>(domains);
  loads.experts_ = static_cast<size_t>(experts);
  loads.counts_.resize(static_cast<size_t>(layers) * loads.domains_ * loads.experts_);
  EQ_ASSIGN_OR_RETURN(loads.sums_, Tensor::Create(device, DType::kF64,
                                                  {static_cast<int64_t>(loads.counts_.size())}));
  return loads;
}

void DomainLoads::Clear() { std::fill(counts_.begin(), counts_.end(), 0.0); }

void DomainLoads::Record(const Context& context, int index, ConstTensorView expert_ids,
                         ConstTensorView domains) {
  const std::vector<int32_t> ids = comm::HostMirror<int32_t>(context, expert_ids);
  const std::vector<int32_t> labels = comm::HostMirror<int32_t>(context, domains);
  if (labels.empty()) return;
  const size_t copies = ids.size() / labels.size();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0) continue;
    const size_t domain = static_cast<size_t>(labels[i / copies]);
    EQ_CHECK_LT(domain, domains_);
    const size_t row = static_cast<size_t>(index) * domains_ + domain;
    counts_[row * experts_ + static_cast<size_t>(ids[i])] += 1.0;
  }
}

absl::Status DomainLoads::Reduce(const Context& context, comm::Communicator& world,
                                 const comm::WaitOptions& wait) {
  if (counts_.empty()) return absl::OkStatus();  // a dense model
  const TensorView sums = sums_.view();
  comm::MirrorToDevice<double>(context, counts_, sums);
  EQ_RETURN_IF_ERROR(comm::AllReduce(world, context, sums, comm::ReduceOp::kSum, wait));
  comm::MirrorToHost<double>(context, sums, std::span<double>(counts_));
  return absl::OkStatus();
}

std::span<const double> DomainLoads::Counts(int index, int domain) const {
  const size_t row = static_cast<size_t>(index) * domains_ + static_cast<size_t>(domain);
  return std::span(counts_).subspan(row * experts_, experts_);
}

}  // namespace equipoise::parallel
