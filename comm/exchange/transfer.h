#ifndef EQUIPOISE_COMM_EXCHANGE_TRANSFER_H_
#define EQUIPOISE_COMM_EXCHANGE_TRANSFER_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/work.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::comm {

// What a transfer does: collectives one after the other, each on a lane, with work of this rank
// between them. An algorithm adds steps; a TransferQueue runs them. Memory that steps use must be
// there when they are added and until the transfer is complete.
class TransferSteps {
 public:
  using Collective = std::function<absl::StatusOr<Work>(Communicator& lane)>;
  using Local = std::function<void()>;

  // Started when all before is done.
  void Add(int lane, Collective start) { steps_.push_back({lane, std::move(start), {}}); }
  // Must be quick, and leave workspaces as they were: it may run inside any TransferQueue::Poll.
  void AddLocal(Local run) { steps_.push_back({kNoLane, {}, std::move(run)}); }
  // What has been added so far gives the result; nobody waits for the rest before
  // TransferQueue::Drain.
  void EndResult() { result_end_ = steps_.size(); }

  // Runs all steps, collectives on `group` whatever their lane. Done when it returns.
  absl::Status RunOn(Communicator& group, const WaitOptions& wait) const;

 private:
  friend class TransferQueue;
  static constexpr int kNoLane = -1;
  struct Step {
    int lane;
    Collective start;
    Local run;
  };

  std::vector<Step> steps_;
  size_t result_end_ = SIZE_MAX;
};

// Adds one all-to-all, see Communicator::AllToAllRows.
void AddAllToAllRows(const Context& context, ConstTensorView send, std::vector<int64_t> send_rows,
                     TensorView receive, std::vector<int64_t> receive_rows, int lane,
                     TransferSteps& steps);

// Seconds of a rank's transfers.
struct TransferTimes {
  double in_flight = 0.0;  // at least one collective was under way
  double blocked = 0.0;    // the rank waited for one, and could do nothing else: exposed
  // One was under way and the rank computed: inside a TransferQueue::Computation, outside the
  // queue's own calls. What in_flight has besides these two went into those calls, and into the
  // rows of other transfers.
  double hidden = 0.0;
  double alone = 0.0;  // likewise, and none was under way

  TransferTimes& operator+=(const TransferTimes& other) {
    in_flight += other.in_flight;
    blocked += other.blocked;
    hidden += other.hidden;
    alone += other.alone;
    return *this;
  }
};

// Transfers under way on one rank, oldest first. Invariants:
//
// 1. Every lane has a communicator of its own, and its collectives start in the order of their
//    transfers, then of their steps. When they start depends on who calls Poll when; in which order
//    they start on a lane does not, and so it is the same on all ranks if all begin the same
//    transfers in the same order. Collectives of different lanes may start in any order.
// 2. While a rank waits for one transfer it moves on all others. Hence no cycle of waits: a
//    collective that another rank waits for starts here as soon as those before it in the order
//    (transfer, step) are done.
//
// Like streams with events between them. After a failure every call returns it, and what is still
// under way is waited for by the destructor. Belongs to one thread; `group` outlives it.
class TransferQueue final : public Progress {
 public:
  // Splits a communicator for each lane from `group`. Collective.
  static absl::StatusOr<std::unique_ptr<TransferQueue>> Create(Communicator& group, int num_lanes);

  // Which transfer, among those of a queue.
  using Ticket = uint64_t;

  // Begins a transfer, and moves it on as far as it goes. `wait` names its waits.
  absl::StatusOr<Ticket> Begin(TransferSteps steps, const WaitOptions& wait);
  // True when the result of a transfer is there. Never blocks; moves all transfers on.
  bool Test(Ticket ticket);
  // Returns when the result is there.
  absl::Status Wait(Ticket ticket);
  // Returns when no transfer is under way.
  absl::Status Drain();
  // Moves all transfers on, unless it has just done so: made to be called between small pieces of
  // computation. Never blocks.
  void Poll() override;

  // While it lives, this rank computes what would have to be computed without transfers, too:
  // transfers under way meanwhile are hidden. Not nested; the queue outlives it.
  class Computation {
   public:
    explicit Computation(TransferQueue& queue) : queue_(queue) { queue_.SetComputing(true); }
    ~Computation() { queue_.SetComputing(false); }
    Computation(const Computation&) = delete;
    Computation& operator=(const Computation&) = delete;

   private:
    TransferQueue& queue_;
  };

  // Since the last call.
  TransferTimes TakeTimes();

 private:
  struct InFlight {
    Ticket ticket = 0;
    TransferSteps steps;
    WaitOptions wait;
    size_t next = 0;  // the first step that is not done
    bool running = false;
    Work work;

    size_t result_end() const;
    bool complete() const { return next == steps.steps_.size(); }
    // Whether a step on `lane` is still to be started; its index.
    bool HasYetToStart(int lane, size_t* step) const;
  };

  explicit TransferQueue(std::vector<std::unique_ptr<Communicator>> lanes)
      : lanes_(std::move(lanes)) {}

  // While one lives, the queue is at work, and nothing is hidden.
  class AtWork;

  void SetComputing(bool computing);
  // Ends a piece of time in which the rank computes and this queue does nothing, if there is one,
  // or begins one, if it computes.
  void StopAside();
  void StartAside();
  void MoveOn();
  InFlight* Find(Ticket ticket);
  // The first transfer before `transfer` that has yet to start something on `lane`, or null; and
  // what.
  InFlight* Before(const InFlight& transfer, int lane, size_t* step);
  // As far as it goes without waiting.
  void Advance(InFlight& transfer);
  // Starts the next step, which is a collective. False if it is another transfer's turn.
  bool StartNext(InFlight& transfer);
  void FinishRunning(InFlight& transfer, const absl::Status& status);
  // Waits until steps [0, end) of `transfer` are done.
  absl::Status FinishSteps(InFlight& transfer, size_t end);
  void Forget();
  void CountRunning(int change);

  const std::vector<std::unique_ptr<Communicator>> lanes_;
  const std::function<void()> move_on_ = [this] { MoveOn(); };
  std::list<InFlight> in_flight_;
  const InFlight* waited_for_ = nullptr;
  Ticket next_ticket_ = 1;
  absl::Status status_;
  int num_running_ = 0;
  int64_t running_since_ = 0;  // nanoseconds
  bool computing_ = false;
  int at_work_ = 0;          // calls that have not returned
  int64_t aside_since_ = 0;  // nanoseconds; 0: it does not compute, or the queue is at work
  int64_t moved_on_ = 0;     // when last, nanoseconds
  TransferTimes times_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_EXCHANGE_TRANSFER_H_
