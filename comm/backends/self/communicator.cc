#include "comm/backends/self/communicator.h"

#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/heap_memory.h"
#include "comm/local_copy.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

// Why the world ended, shared by a communicator and what was split from it.
using Failure = std::shared_ptr<absl::Status>;

class SelfCommunicator final : public Communicator {
 public:
  SelfCommunicator(Failure failure, std::string name)
      : failure_(std::move(failure)), name_(std::move(name)) {}

  int rank() const override { return 0; }
  int size() const override { return 1; }
  const std::string& name() const override { return name_; }

  std::string host() const override {
    std::array<char, 256> buffer{};
    if (gethostname(buffer.data(), buffer.size() - 1) != 0) return "localhost";
    return buffer.data();
  }

  absl::StatusOr<Work> Barrier(const Context&) override { return Done(); }

  absl::StatusOr<Work> Broadcast(const Context&, TensorView, int root) override {
    EQ_CHECK_EQ(root, 0);
    return Done();
  }

  absl::StatusOr<Work> AllReduce(const Context&, TensorView, ReduceOp) override { return Done(); }

  absl::StatusOr<Work> ReduceScatter(const Context& context, ConstTensorView send,
                                     TensorView receive) override {
    return CopyAll(context, send, receive);
  }

  absl::StatusOr<Work> AllGather(const Context& context, ConstTensorView send,
                                 TensorView receive) override {
    return CopyAll(context, send, receive);
  }

  absl::StatusOr<Work> AllToAllRows(const Context& context, ConstTensorView send,
                                    std::span<const int64_t>, TensorView receive,
                                    std::span<const int64_t>) override {
    return CopyAll(context, send, receive);
  }

  absl::StatusOr<std::unique_ptr<Communicator>> Split(int color, int,
                                                      const std::string& name) override {
    EQ_CHECK_GE(color, 0);
    EQ_RETURN_IF_ERROR(*failure_);
    return std::make_unique<SelfCommunicator>(failure_, name);
  }

  absl::StatusOr<std::unique_ptr<SharedMemory>> AllocateShared(size_t bytes) override {
    EQ_RETURN_IF_ERROR(*failure_);
    return std::make_unique<HeapMemory>(std::vector<size_t>{bytes});
  }

  absl::StatusOr<Work> ExchangeWrites(SharedWrites writes) override {
    writes.Announce();
    EQ_CHECK(writes.Arrived()) << "there is nobody else to write";
    return Done();
  }

  void Abort(const absl::Status& reason) override {
    if (!failure_->ok()) return;
    *failure_ = absl::AbortedError(
        absl::StrCat("rank 0 of '", name_, "' ended the world: ", reason.ToString()));
  }

 private:
  absl::StatusOr<Work> Done() const {
    EQ_RETURN_IF_ERROR(*failure_);
    return Work();
  }

  absl::StatusOr<Work> CopyAll(const Context& context, ConstTensorView send, TensorView receive) {
    EQ_RETURN_IF_ERROR(*failure_);
    EQ_RETURN_IF_ERROR(LocalCopy(context, send, receive));
    return Work();
  }

  const Failure failure_;
  const std::string name_;
};

}  // namespace

std::unique_ptr<Communicator> MakeSelfCommunicator(const std::string& name) {
  return std::make_unique<SelfCommunicator>(std::make_shared<absl::Status>(), name);
}

}  // namespace equipoise::comm
