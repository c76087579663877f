#include "parallel/router_statistics.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/elementwise.h"

namespace equipoise::parallel {

using routing::LossScope;

namespace {

comm::WaitOptions WaitAt(const comm::WaitPlace& place) {
  return {.name = "all-reduce of router statistics", .place = place};
}

}  // namespace

absl::StatusOr<std::unique_ptr<RouterStatistics>> RouterStatistics::Create(
    Device& device, comm::Communicator& world, std::vector<const routing::Router*> routers,
    LoadSource source) {
  EQ_CHECK(source != LoadSource::kAuto) << "resolve kAuto from the accumulation steps first";
  std::unique_ptr<RouterStatistics> statistics(new RouterStatistics);
  statistics->device_ = &device;
  statistics->world_ = &world;
  statistics->source_ = source;
  statistics->offset_.push_back(0);
  for (const routing::Router* router : routers) {
    statistics->offset_.push_back(statistics->offset_.back() + router->num_statistics());
  }
  statistics->routers_ = std::move(routers);
  statistics->pending_.resize(statistics->routers_.size());
  const Shape shape = {statistics->offset_.back()};
  for (Tensor* buffer :
       {&statistics->local_, &statistics->reduced_, &statistics->load_, &statistics->previous_}) {
    EQ_ASSIGN_OR_RETURN(*buffer, Tensor::Create(device, DType::kF64, shape));
  }
  return statistics;
}

TensorView RouterStatistics::Slice(Tensor& buffer, int index) const {
  return buffer.view().Rows(offset_[static_cast<size_t>(index)],
                            offset_[static_cast<size_t>(index) + 1]);
}

std::vector<double> RouterStatistics::HostSlice(const Tensor& buffer, int index) const {
  const ConstTensorView view = buffer.view().Rows(offset_[static_cast<size_t>(index)],
                                                  offset_[static_cast<size_t>(index) + 1]);
  std::vector<double> values(static_cast<size_t>(view.num_elements()));
  device_->CopyToHost(values.data(), view.raw(), view.num_bytes());
  return values;
}

bool RouterStatistics::ReducesInForward(int index) const {
  const LossScope scope = routers_[static_cast<size_t>(index)]->statistics_scope();
  return scope == LossScope::kRunning ||
         (scope == LossScope::kGlobalBatch && source_ == LoadSource::kCurrentStep);
}

bool RouterStatistics::UsesPreviousStep(int index) const {
  return routers_[static_cast<size_t>(index)]->statistics_scope() == LossScope::kGlobalBatch &&
         source_ == LoadSource::kPreviousStep;
}

void RouterStatistics::BeginStep(const Context& context, int64_t batch_tokens) {
  Fill(context, 0.0, local_.view());
  Copy(context, previous_.view(), load_.view());
  load_tokens_ = previous_tokens_;
  tokens_ = batch_tokens;
  running_tokens_ = 0;
}

absl::Status RouterStatistics::Record(const Context& context, int index, ConstTensorView partials,
                                      const comm::WaitPlace& place) {
  const TensorView local = Slice(local_, index);
  Axpy(context, 1.0, partials, local);
  if (!ReducesInForward(index)) return absl::OkStatus();
  comm::Work& pending = pending_[static_cast<size_t>(index)];
  EQ_RETURN_IF_ERROR(pending.Wait(WaitAt(place)));
  const TensorView reduced = Slice(reduced_, index);
  Copy(context, local, reduced);
  EQ_ASSIGN_OR_RETURN(pending, comm::StartAllReduce(*world_, context, reduced));
  return absl::OkStatus();
}

absl::StatusOr<routing::RouterBackwardInput> RouterStatistics::ForBackward(
    const Context&, int index, const comm::WaitPlace& place) {
  routing::RouterBackwardInput input;
  input.batch_tokens = tokens_;
  if (ReducesInForward(index)) {
    EQ_RETURN_IF_ERROR(pending_[static_cast<size_t>(index)].Wait(WaitAt(place)));
    input.statistics = Slice(reduced_, index);
    input.statistics_tokens = running_tokens_;
  } else if (UsesPreviousStep(index) && load_tokens_ > 0) {
    input.statistics = Slice(load_, index);
    input.statistics_tokens = load_tokens_;
  }
  return input;
}

absl::Status RouterStatistics::EndStep(const Context& context, const comm::WaitPlace& place) {
  bool all_reduced = true;
  for (int index = 0; index < static_cast<int>(routers_.size()); ++index) {
    EQ_RETURN_IF_ERROR(pending_[static_cast<size_t>(index)].Wait(WaitAt(place)));
    all_reduced = all_reduced && ReducesInForward(index);
  }
  if (!all_reduced) {
    Copy(context, local_.view(), reduced_.view());
    EQ_RETURN_IF_ERROR(
        comm::AllReduce(*world_, context, reduced_.view(), comm::ReduceOp::kSum, WaitAt(place)));
  }
  Copy(context, reduced_.view(), previous_.view());
  previous_tokens_ = tokens_;
  return absl::OkStatus();
}

std::vector<double> RouterStatistics::Sums(int index) const { return HostSlice(reduced_, index); }

std::vector<double> RouterStatistics::Load(int index) const {
  if (!UsesPreviousStep(index)) return HostSlice(reduced_, index);
  return load_tokens_ > 0 ? HostSlice(load_, index) : std::vector<double>();
}

int64_t RouterStatistics::load_tokens(int index) const {
  return UsesPreviousStep(index) ? load_tokens_ : tokens_;
}

std::vector<double> RouterStatistics::ExportPrevious() const {
  std::vector<double> values(static_cast<size_t>(previous_.view().num_elements()));
  device_->CopyToHost(values.data(), previous_.view().raw(), previous_.view().num_bytes());
  return values;
}

absl::Status RouterStatistics::ImportPrevious(const std::vector<double>& sums, int64_t tokens) {
  if (static_cast<int64_t>(sums.size()) != offset_.back()) {
    return absl::InvalidArgumentError(
        absl::StrCat(sums.size(), " router statistics are given, this model has ", offset_.back()));
  }
  device_->CopyFromHost(previous_.view().raw(), sums.data(), previous_.view().num_bytes());
  previous_tokens_ = tokens;
  return absl::OkStatus();
}

}  // namespace equipoise::parallel
