#include "comm/backends/thread/communicator.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/group.h"
#include "comm/backoff.h"
#include "comm/local_copy.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

// A collective that this rank has entered.
class ThreadWork final : public Work::State {
 public:
  ThreadWork(std::shared_ptr<Group> group, OpLabel label)
      : group_(std::move(group)), label_(std::move(label)) {}

  bool Test() override {
    if (collected_ || !group_->IsDone(label_.sequence)) return collected_;
    outcome_ = Wait({});
    return true;
  }
  absl::Status status() const override { return outcome_; }
  absl::Status Wait(const WaitOptions& options) override {
    if (collected_) return outcome_;
    collected_ = true;
    outcome_ = group_->Wait(label_.rank, label_.sequence, options, label_);
    return outcome_;
  }

 private:
  const std::shared_ptr<Group> group_;
  const OpLabel label_;
  bool collected_ = false;
  absl::Status outcome_;
};

// What others write into shared memory. They tell nobody but through that memory, so it is looked
// at again and again.
class ThreadWrites final : public Work::State {
 public:
  ThreadWrites(std::shared_ptr<Group> group, OpLabel label, SharedWrites writes)
      : group_(std::move(group)), label_(std::move(label)), writes_(std::move(writes)) {}

  bool Test() override { return writes_.Arrived(); }
  absl::Status status() const override { return absl::OkStatus(); }
  absl::Status Wait(const WaitOptions& options) override {
    WaitClock clock(options, label_);
    Backoff backoff;
    while (!Test()) {
      const absl::Status alive = CheckAlive();
      if (!alive.ok()) {
        return absl::Status(alive.code(), absl::StrCat(options.Describe(), ": ", label_.ToString(),
                                                       ": ", alive.message()));
      }
      EQ_RETURN_IF_ERROR(
          clock.Check([this] { return DescribeMissingRanks(writes_.Missing(), {}); }));
      if (options.meanwhile != nullptr) (*options.meanwhile)();
      backoff.Pause(clock.elapsed());
    }
    return absl::OkStatus();
  }

 private:
  // Nobody waits for those who left before they had written.
  absl::Status CheckAlive() {
    EQ_RETURN_IF_ERROR(group_->failure());
    const std::vector<bool> left = group_->left();
    if (Test()) return absl::OkStatus();
    for (const int rank : writes_.Missing()) {
      if (!left[static_cast<size_t>(rank)]) continue;
      return absl::AbortedError(absl::StrCat("rank ", rank, " has left the communicator"));
    }
    return absl::OkStatus();
  }

  const std::shared_ptr<Group> group_;
  const OpLabel label_;
  SharedWrites writes_;
};

// A rank's hold on memory of all.
class ThreadMemory final : public SharedMemory {
 public:
  explicit ThreadMemory(std::shared_ptr<const SharedMemory> memory) : memory_(std::move(memory)) {}
  std::span<std::byte> of(int rank) const override { return memory_->of(rank); }

 private:
  const std::shared_ptr<const SharedMemory> memory_;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<WorldState> world, std::shared_ptr<Group> group, int rank,
                     std::string name)
      : world_(std::move(world)), group_(std::move(group)), rank_(rank), name_(std::move(name)) {}
  ~ThreadCommunicator() override { group_->Leave(rank_); }

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }
  const std::string& name() const override { return name_; }
  std::string host() const override { return residence().host; }
  std::string node_group() const override { return residence().node_group; }

  absl::StatusOr<Work> Barrier(const Context& context) override {
    return Enter(context, {.verb = Verb::kBarrier});
  }

  absl::StatusOr<Work> Broadcast(const Context& context, TensorView data, int root) override {
    return Enter(context, {.verb = Verb::kBroadcast, .receive = data, .root = root});
  }

  absl::StatusOr<Work> AllReduce(const Context& context, TensorView data, ReduceOp op) override {
    return Enter(context, {.verb = Verb::kAllReduce, .receive = data, .op = op});
  }

  absl::StatusOr<Work> ReduceScatter(const Context& context, ConstTensorView send,
                                     TensorView receive) override {
    return Enter(context, {.verb = Verb::kReduceScatter, .send = send, .receive = receive});
  }

  absl::StatusOr<Work> AllGather(const Context& context, ConstTensorView send,
                                 TensorView receive) override {
    return Enter(context, {.verb = Verb::kAllGather, .send = send, .receive = receive});
  }

  absl::StatusOr<Work> AllToAllRows(const Context& context, ConstTensorView send,
                                    std::span<const int64_t> send_rows, TensorView receive,
                                    std::span<const int64_t> receive_rows) override {
    return Enter(context, {.verb = Verb::kAllToAllRows,
                           .send = send,
                           .receive = receive,
                           .send_rows = {send_rows.begin(), send_rows.end()},
                           .receive_rows = {receive_rows.begin(), receive_rows.end()}});
  }

  absl::StatusOr<std::unique_ptr<Communicator>> Split(int color, int key,
                                                      const std::string& name) override {
    EQ_CHECK_GE(color, 0);
    SplitRequest request{.color = color, .key = key};
    EQ_ASSIGN_OR_RETURN(Work work, Enter({}, {.verb = Verb::kSplit, .split = &request}));
    const std::string what = absl::StrCat("splitting off '", name, "'");
    EQ_RETURN_IF_ERROR(work.Wait({.name = what.c_str()}));
    return std::make_unique<ThreadCommunicator>(world_, std::move(request.group), request.rank,
                                                name);
  }

  absl::StatusOr<std::unique_ptr<SharedMemory>> AllocateShared(size_t bytes) override {
    MemoryRequest request{.bytes = bytes};
    EQ_ASSIGN_OR_RETURN(Work work, Enter({}, {.verb = Verb::kAllocateShared, .memory = &request}));
    EQ_RETURN_IF_ERROR(work.Wait({.name = "allocating shared memory"}));
    return std::make_unique<ThreadMemory>(std::move(request.memory));
  }

  absl::StatusOr<Work> ExchangeWrites(SharedWrites writes) override {
    OpLabel label = NextLabel(Verb::kExchangeWrites);
    writes.Announce();
    return Work(std::make_unique<ThreadWrites>(group_, std::move(label), std::move(writes)));
  }

  void Abort(const absl::Status& reason) override {
    world_->Abort(
        absl::StrCat("rank ", rank_, " of '", name_, "' ended the world: ", reason.ToString()));
  }

 private:
  OpLabel NextLabel(Verb verb) {
    return {Name(verb), next_sequence_++, name_, rank_, size(), world_->patience()};
  }

  absl::StatusOr<Work> Enter(const Context& context, Entry entry) {
    EQ_RETURN_IF_ERROR(RequireHostMemory(context, entry.send, "the thread backend"));
    EQ_RETURN_IF_ERROR(RequireHostMemory(context, entry.receive, "the thread backend"));
    OpLabel label = NextLabel(entry.verb);
    const absl::Status status = group_->Enter(rank_, label.sequence, std::move(entry));
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat(label.ToString(), ": ", status.message()));
    }
    return Work(std::make_unique<ThreadWork>(group_, std::move(label)));
  }

  const WorldState::Residence& residence() const {
    return world_->residence(group_->world_rank(rank_));
  }

  const std::shared_ptr<WorldState> world_;
  const std::shared_ptr<Group> group_;
  const int rank_;
  const std::string name_;
  uint64_t next_sequence_ = 0;
};

std::vector<WorldState::Residence> ResidencesOf(const ThreadWorld::Options& options) {
  std::vector<WorldState::Residence> residences;
  for (size_t rank = 0; rank < static_cast<size_t>(options.num_ranks); ++rank) {
    const int node = options.node_of_rank.empty() ? 0 : options.node_of_rank[rank];
    const bool grouped = static_cast<size_t>(node) < options.group_of_node.size();
    residences.push_back({absl::StrCat("thread-node", node),
                          grouped ? options.group_of_node[static_cast<size_t>(node)] : ""});
  }
  return residences;
}

std::vector<int> AllRanks(int num_ranks) {
  std::vector<int> ranks(static_cast<size_t>(num_ranks));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ThreadWorld>> ThreadWorld::Create(const Options& options) {
  if (options.num_ranks < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("a thread world of ", options.num_ranks, " ranks"));
  }
  if (!options.node_of_rank.empty() &&
      options.node_of_rank.size() != static_cast<size_t>(options.num_ranks)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "nodes are given for ", options.node_of_rank.size(), " of ", options.num_ranks, " ranks"));
  }
  return std::unique_ptr<ThreadWorld>(new ThreadWorld(options));
}

ThreadWorld::ThreadWorld(const Options& options)
    : options_(options),
      state_(std::make_shared<WorldState>(ResidencesOf(options), options.patience,
                                          options.shared_bytes)),
      group_(state_->MakeGroup(AllRanks(options.num_ranks))) {}

ThreadWorld::~ThreadWorld() = default;

std::unique_ptr<Communicator> ThreadWorld::Take(int rank) {
  EQ_CHECK(rank >= 0 && rank < options_.num_ranks) << "rank " << rank;
  return std::make_unique<ThreadCommunicator>(state_, group_, rank, options_.name);
}

void ThreadWorld::Abort(const absl::Status& reason) { state_->Abort(reason.ToString()); }

}  // namespace equipoise::comm
