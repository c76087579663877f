#ifndef EQUIPOISE_COMM_WORK_H_
#define EQUIPOISE_COMM_WORK_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace equipoise::comm {

// How long to wait for others, and what to call the wait in messages.
struct WaitOptions {
  // Shown in warnings and errors, for example "dispatch of layer 3, step 120".
  std::string name = "collective";
  // A warning is logged once after this long. Raise it for collectives that wait for a save.
  absl::Duration warn_after = absl::Seconds(30);
  // DeadlineExceeded after this long. Never infinite: a hang must end with a message.
  absl::Duration stop_after = absl::Minutes(10);
};

// A collective under way. The tensors given to it belong to the transport until it is complete.
// Movable, used by one thread; destroying an incomplete Work waits for it and logs an error.
class Work {
 public:
  // A backend's view of one operation in flight.
  class State {
   public:
    virtual ~State() = default;
    // Moves the operation on without blocking; true when complete (or failed, see `status`).
    virtual bool Test() = 0;
    virtual absl::Status status() const = 0;
    // Blocks; DeadlineExceeded names the operation, this rank and every rank that is missing.
    virtual absl::Status Wait(const WaitOptions& options) = 0;
  };

  // Already complete.
  Work() = default;
  explicit Work(std::unique_ptr<State> state) : state_(std::move(state)) {}
  ~Work();
  Work(Work&&) = default;
  Work& operator=(Work&& other) noexcept;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  // True when complete. Call it now and then between pieces of computation: transports without a
  // thread of their own (MPI) only move data inside calls.
  bool Test();
  // Returns when complete, with the operation's outcome. Calling it again returns the same.
  // After DeadlineExceeded the group is out of step and its transport may still hold the tensors:
  // the caller can only Abort().
  absl::Status Wait(const WaitOptions& options = {});

 private:
  std::unique_ptr<State> state_;
  absl::Status outcome_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_WORK_H_
