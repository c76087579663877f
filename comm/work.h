#ifndef EQUIPOISE_COMM_WORK_H_
#define EQUIPOISE_COMM_WORK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace equipoise::comm {

// How long ranks wait for each other. A world has one, for every wait in it and in the groups split
// from it, so that no wait can forget what the user configured.
struct Patience {
  // A warning is logged once after this long.
  absl::Duration warn_after = absl::Seconds(30);
  // DeadlineExceeded after this long. Never infinite: a hang must end with a message.
  absl::Duration stop_after = absl::Minutes(10);
  // A node of which nothing has been heard for so long is lost, and the job ends. Independent of
  // what its ranks compute. Zero: nobody looks. Only where ranks of several nodes can be lost, that
  // is, under MPI.
  absl::Duration lost_node_after = absl::Seconds(10);
};

// Where in a run a wait is. What is not set is left out of messages. A small value that costs a
// step nothing: it becomes text only when a message is written.
struct WaitPlace {
  int64_t step = 0;         // from 1; in a validation, the last step before it
  int32_t micro_batch = 0;  // from 1; 0: the step has only one
  int32_t layer = -1;       // position in the model, from 0
  bool validation = false;

  WaitPlace OfLayer(int number) const {
    WaitPlace place = *this;
    place.layer = number;
    return place;
  }
};

// What to call a wait in messages, and how long it may take.
struct WaitOptions {
  // What is waited for, "dispatch". Must outlive the wait; nearly always a literal.
  const char* name = "collective";
  WaitPlace place = {};
  // Called again and again while the wait lasts, on the waiting thread; may not block, nor touch
  // the operation that is waited for. Null: nothing else to do.
  const std::function<void()>* meanwhile = nullptr;
  // Instead of the world's, for this wait.
  std::optional<absl::Duration> warn_after = std::nullopt;
  std::optional<absl::Duration> stop_after = std::nullopt;

  // "dispatch of layer 3, step 120, micro-batch 2".
  std::string Describe() const;
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
    // Blocks; DeadlineExceeded names the operation, this rank and every rank that is missing;
    // Unavailable names a node that is lost.
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
  // After DeadlineExceeded or Unavailable the group is out of step and its transport may still hold
  // the tensors: the caller can only Abort().
  absl::Status Wait(const WaitOptions& options = {});

 private:
  std::unique_ptr<State> state_;
  absl::Status outcome_;
};

// Complete when both are; waiting for the first moves the second on.
Work Join(Work first, Work second);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_WORK_H_
