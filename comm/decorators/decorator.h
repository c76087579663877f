#ifndef EQUIPOISE_COMM_DECORATORS_DECORATOR_H_
#define EQUIPOISE_COMM_DECORATORS_DECORATOR_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/verb.h"

namespace equipoise::comm {

// The arguments of one collective. Verbs with one tensor have it in `receive`. Borrows.
struct Call {
  Verb verb = Verb::kBarrier;
  ConstTensorView send = {};
  TensorView receive = {};
  std::span<const int64_t> send_rows = {};
  std::span<const int64_t> receive_rows = {};
  int root = 0;
  ReduceOp op = ReduceOp::kSum;
  SharedWrites* writes = nullptr;  // taken by Forward
};

// A communicator that does something around every collective of another, and around those of the
// groups split from it. Subclasses see all verbs through Run(). Thread-safety and lifetime are the
// inner communicator's.
class Decorator : public Communicator {
 public:
  int rank() const final { return inner_->rank(); }
  int size() const final { return inner_->size(); }
  const std::string& name() const final { return inner_->name(); }
  std::string host() const final { return inner_->host(); }
  std::string node_group() const final { return inner_->node_group(); }
  void Abort(const absl::Status& reason) final { inner_->Abort(reason); }

  absl::StatusOr<Work> Barrier(const Context& context) final;
  absl::StatusOr<Work> Broadcast(const Context& context, TensorView data, int root) final;
  absl::StatusOr<Work> AllReduce(const Context& context, TensorView data, ReduceOp op) final;
  absl::StatusOr<Work> ReduceScatter(const Context& context, ConstTensorView send,
                                     TensorView receive) final;
  absl::StatusOr<Work> AllGather(const Context& context, ConstTensorView send,
                                 TensorView receive) final;
  absl::StatusOr<Work> AllToAllRows(const Context& context, ConstTensorView send,
                                    std::span<const int64_t> send_rows, TensorView receive,
                                    std::span<const int64_t> receive_rows) final;
  absl::StatusOr<std::unique_ptr<Communicator>> Split(int color, int key,
                                                      const std::string& name) final;
  absl::StatusOr<std::unique_ptr<SharedMemory>> AllocateShared(size_t bytes) final {
    return inner_->AllocateShared(bytes);
  }
  absl::StatusOr<Work> ExchangeWrites(SharedWrites writes) final;

 protected:
  // Borrows `inner`, which must outlive this.
  explicit Decorator(Communicator& inner) : inner_(&inner) {}
  explicit Decorator(std::unique_ptr<Communicator> inner)
      : owned_(std::move(inner)), inner_(owned_.get()) {}

  Communicator& inner() { return *inner_; }
  // The inner communicator's verb.
  absl::StatusOr<Work> Forward(const Context& context, const Call& call);

  // One collective. Called for every verb but Split and AllocateShared.
  virtual absl::StatusOr<Work> Run(const Context& context, const Call& call) = 0;
  // Before a split reaches the inner communicator.
  virtual absl::Status BeforeSplit() { return absl::OkStatus(); }
  // Puts the same decoration around a group that was split off.
  virtual absl::StatusOr<std::unique_ptr<Communicator>> Wrap(
      std::unique_ptr<Communicator> group) = 0;

 private:
  const std::unique_ptr<Communicator> owned_;
  Communicator* const inner_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_DECORATORS_DECORATOR_H_
