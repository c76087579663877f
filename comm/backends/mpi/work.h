#ifndef EQUIPOISE_COMM_BACKENDS_MPI_WORK_H_
#define EQUIPOISE_COMM_BACKENDS_MPI_WORK_H_

#include <mpi.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "comm/backends/mpi/runtime.h"
#include "comm/shared_memory.h"
#include "comm/wait_clock.h"
#include "comm/work.h"

namespace equipoise::comm {

// One MPI communicator, and how to find its ranks on the progress board. A value.
struct MpiGroup {
  MPI_Comm comm = MPI_COMM_NULL;
  int slot = 0;
  std::vector<int> world_ranks = {};  // [size]
};

// Waits until `test` says so: with patience, with signs of life, and without keeping the core from
// others. `missing` says who is waited for.
absl::Status WaitUntil(MpiRuntime& runtime, const WaitOptions& options, const OpLabel& label,
                       const std::function<bool()>& test,
                       const std::function<std::string()>& missing);

// A collective in MPI's hands: its requests, and the types that MPI reads until they are
// complete. MPI has no thread of its own, so Test() and Wait() are what moves bytes.
class MpiWork final : public Work::State {
 public:
  // `group` must outlive it.
  MpiWork(std::shared_ptr<MpiRuntime> runtime, const MpiGroup& group, OpLabel label)
      : runtime_(std::move(runtime)), group_(group), label_(std::move(label)) {}
  ~MpiWork() override;

  bool Test() override;
  absl::Status status() const override { return status_; }
  absl::Status Wait(const WaitOptions& options) override;

  // The next request to be started, or null. Pointers become invalid at the next call.
  MPI_Request* AddRequest() { return &requests_.emplace_back(MPI_REQUEST_NULL); }
  // A type of `count` neighbouring elements of `element`, freed with this.
  absl::StatusOr<MPI_Datatype> AddRowType(int count, MPI_Datatype element);
  // Host memory of `bytes` that lives until this is complete.
  void* AddScratch(size_t bytes) {
    return scratch_.emplace_back(runtime_->scratch().Take(bytes)).data.get();
  }
  // What this rank does with what has arrived; runs once, before this is complete.
  void FinishWith(std::function<void()> finish) { finish_ = std::move(finish); }

 private:
  void Complete();
  std::string DescribeMissing() const;

  const std::shared_ptr<MpiRuntime> runtime_;
  const MpiGroup& group_;
  const OpLabel label_;
  std::vector<MPI_Request> requests_;
  std::vector<MPI_Status> statuses_;
  std::vector<MPI_Datatype> types_;
  std::vector<ScratchPool::Buffer> scratch_;
  std::function<void()> finish_;
  bool complete_ = false;
  absl::Status status_;
};

// What ranks of this node write into each other's memory.
class MpiWrites final : public Work::State {
 public:
  // `group` must outlive it.
  MpiWrites(std::shared_ptr<MpiRuntime> runtime, const MpiGroup& group, OpLabel label,
            SharedWrites writes)
      : runtime_(std::move(runtime)),
        group_(group),
        label_(std::move(label)),
        writes_(std::move(writes)) {}

  bool Test() override;
  absl::Status status() const override { return absl::OkStatus(); }
  absl::Status Wait(const WaitOptions& options) override;

 private:
  const std::shared_ptr<MpiRuntime> runtime_;
  const MpiGroup& group_;
  const OpLabel label_;
  SharedWrites writes_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_MPI_WORK_H_
