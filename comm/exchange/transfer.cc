#include "comm/exchange/transfer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

int64_t NanosecondsNow() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

// A call costs some microseconds, and with OpenMPI's yield_when_idle the core, if others want it.
constexpr int64_t kPollInterval = 200'000;  // nanoseconds

double SecondsSince(int64_t nanoseconds) {
  return 1e-9 * static_cast<double>(NanosecondsNow() - nanoseconds);
}

}  // namespace

absl::Status TransferSteps::RunOn(Communicator& group, const WaitOptions& wait) const {
  for (const Step& step : steps_) {
    if (step.lane == kNoLane) {
      step.run();
      continue;
    }
    EQ_ASSIGN_OR_RETURN(Work work, step.start(group));
    EQ_RETURN_IF_ERROR(work.Wait(wait));
  }
  return absl::OkStatus();
}

void AddAllToAllRows(const Context& context, ConstTensorView send, std::vector<int64_t> send_rows,
                     TensorView receive, std::vector<int64_t> receive_rows, int lane,
                     TransferSteps& steps) {
  steps.Add(lane, [context, send, send_rows = std::move(send_rows), receive,
                   receive_rows = std::move(receive_rows)](Communicator& group) {
    return StartAllToAllRows(group, context, send, send_rows, receive, receive_rows);
  });
}

class TransferQueue::AtWork {
 public:
  explicit AtWork(TransferQueue& queue) : queue_(queue) {
    queue_.StopAside();
    ++queue_.at_work_;
  }
  ~AtWork() {
    --queue_.at_work_;
    queue_.StartAside();
  }
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;

 private:
  TransferQueue& queue_;
};

size_t TransferQueue::InFlight::result_end() const {
  return std::min(steps.result_end_, steps.steps_.size());
}

bool TransferQueue::InFlight::HasYetToStart(int lane, size_t* step) const {
  for (size_t i = next + (running ? 1 : 0); i < steps.steps_.size(); ++i) {
    if (steps.steps_[i].lane != lane) continue;
    *step = i;
    return true;
  }
  return false;
}

absl::StatusOr<std::unique_ptr<TransferQueue>> TransferQueue::Create(Communicator& group,
                                                                     int num_lanes) {
  std::vector<std::unique_ptr<Communicator>> lanes;
  for (int lane = 0; lane < num_lanes; ++lane) {
    EQ_ASSIGN_OR_RETURN(std::unique_ptr<Communicator> made,
                        group.Split(0, group.rank(), absl::StrCat(group.name(), "/", lane)));
    lanes.push_back(std::move(made));
  }
  return std::unique_ptr<TransferQueue>(new TransferQueue(std::move(lanes)));
}

absl::StatusOr<TransferQueue::Ticket> TransferQueue::Begin(TransferSteps steps,
                                                           const WaitOptions& wait) {
  EQ_RETURN_IF_ERROR(status_);
  const AtWork at_work(*this);
  InFlight& transfer = in_flight_.emplace_back();
  transfer.ticket = next_ticket_++;
  transfer.steps = std::move(steps);
  transfer.wait = wait;
  const Ticket ticket = transfer.ticket;
  MoveOn();
  EQ_RETURN_IF_ERROR(status_);
  return ticket;
}

bool TransferQueue::Test(Ticket ticket) {
  const AtWork at_work(*this);
  MoveOn();
  const InFlight* transfer = Find(ticket);
  return !status_.ok() || transfer == nullptr || transfer->next >= transfer->result_end();
}

absl::Status TransferQueue::Wait(Ticket ticket) {
  EQ_RETURN_IF_ERROR(status_);
  const AtWork at_work(*this);
  InFlight* transfer = Find(ticket);
  if (transfer == nullptr) return absl::OkStatus();
  EQ_RETURN_IF_ERROR(FinishSteps(*transfer, transfer->result_end()));
  MoveOn();
  return status_;
}

absl::Status TransferQueue::Drain() {
  const AtWork at_work(*this);
  while (status_.ok() && !in_flight_.empty()) {
    InFlight& oldest = in_flight_.front();
    EQ_RETURN_IF_ERROR(FinishSteps(oldest, oldest.steps.steps_.size()));
    Forget();
  }
  return status_;
}

void TransferQueue::Poll() {
  if (in_flight_.empty() || NanosecondsNow() - moved_on_ < kPollInterval) return;
  const AtWork at_work(*this);
  MoveOn();
}

void TransferQueue::MoveOn() {
  moved_on_ = NanosecondsNow();
  for (InFlight& transfer : in_flight_) {
    if (!status_.ok()) return;
    if (&transfer != waited_for_) Advance(transfer);
  }
  if (waited_for_ == nullptr) Forget();
}

void TransferQueue::SetComputing(bool computing) {
  StopAside();
  computing_ = computing;
  StartAside();
}

void TransferQueue::StopAside() {
  if (aside_since_ == 0) return;
  (num_running_ > 0 ? times_.hidden : times_.alone) += SecondsSince(aside_since_);
  aside_since_ = 0;
}

void TransferQueue::StartAside() {
  if (computing_ && at_work_ == 0) aside_since_ = NanosecondsNow();
}

TransferTimes TransferQueue::TakeTimes() {
  const AtWork at_work(*this);
  if (num_running_ > 0) {
    times_.in_flight += SecondsSince(running_since_);
    running_since_ = NanosecondsNow();
  }
  return std::exchange(times_, {});
}

TransferQueue::InFlight* TransferQueue::Find(Ticket ticket) {
  for (InFlight& transfer : in_flight_) {
    if (transfer.ticket == ticket) return &transfer;
  }
  return nullptr;
}

TransferQueue::InFlight* TransferQueue::Before(const InFlight& transfer, int lane, size_t* step) {
  for (InFlight& other : in_flight_) {
    if (&other == &transfer) return nullptr;
    if (other.HasYetToStart(lane, step)) return &other;
  }
  return nullptr;
}

void TransferQueue::Advance(InFlight& transfer) {
  while (status_.ok() && !transfer.complete()) {
    const TransferSteps::Step& step = transfer.steps.steps_[transfer.next];
    if (step.lane == TransferSteps::kNoLane) {
      step.run();
      ++transfer.next;
      continue;
    }
    if (!transfer.running && !StartNext(transfer)) return;
    if (!transfer.running || !transfer.work.Test()) return;
    const absl::Status status = transfer.work.Wait();
    FinishRunning(transfer,
                  status.ok() ? status
                              : absl::Status(status.code(), absl::StrCat(transfer.wait.Describe(),
                                                                         ": ", status.message())));
  }
}

bool TransferQueue::StartNext(InFlight& transfer) {
  const TransferSteps::Step& step = transfer.steps.steps_[transfer.next];
  size_t ignored = 0;
  if (Before(transfer, step.lane, &ignored) != nullptr) return false;
  absl::StatusOr<Work> work = step.start(*lanes_[static_cast<size_t>(step.lane)]);
  if (!work.ok()) {
    status_ = work.status();
    return false;
  }
  transfer.work = *std::move(work);
  transfer.running = true;
  CountRunning(+1);
  return true;
}

void TransferQueue::FinishRunning(InFlight& transfer, const absl::Status& status) {
  CountRunning(-1);
  transfer.running = false;
  if (status.ok()) {
    ++transfer.next;
  } else {
    status_ = status;
  }
}

absl::Status TransferQueue::FinishSteps(InFlight& transfer, size_t end) {
  while (true) {
    Advance(transfer);
    if (!status_.ok() || transfer.next >= end) return status_;
    if (!transfer.running) {
      const int lane = transfer.steps.steps_[transfer.next].lane;
      size_t step = 0;
      InFlight* earlier = Before(transfer, lane, &step);
      EQ_CHECK(earlier != nullptr) << "a transfer neither runs nor waits for its turn";
      EQ_RETURN_IF_ERROR(FinishSteps(*earlier, step + 1));
      continue;
    }
    WaitOptions wait = transfer.wait;
    if (in_flight_.size() > 1) wait.meanwhile = &move_on_;
    waited_for_ = &transfer;
    const int64_t start = NanosecondsNow();
    const absl::Status status = transfer.work.Wait(wait);
    times_.blocked += SecondsSince(start);
    waited_for_ = nullptr;
    FinishRunning(transfer, status);
  }
}

void TransferQueue::Forget() {
  in_flight_.remove_if([](const InFlight& transfer) { return transfer.complete(); });
}

void TransferQueue::CountRunning(int change) {
  if (num_running_ == 0) running_since_ = NanosecondsNow();
  num_running_ += change;
  if (num_running_ == 0) times_.in_flight += SecondsSince(running_since_);
}

}  // namespace equipoise::comm
