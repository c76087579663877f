#include "comm/backends/mpi/lost_node_guard.h"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "comm/backends/mpi/launcher_process.h"
#include "comm/backends/mpi/status.h"
#include "comm/wait_clock.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

using Clock = std::chrono::steady_clock;

// How long nodes wait for each other's first beat. It takes a round trip, unless a firewall is in
// between; a node that is lost before it has been heard would not be missed.
constexpr absl::Duration kIntroduction = absl::Seconds(2);
// For ranks to write down why the run failed, and for mpirun to pass on what was printed.
constexpr absl::Duration kLastWords = absl::Seconds(2);
// How long an mpirun that has noticed the loss itself takes to end the job.
constexpr absl::Duration kMpirunsEnd = absl::Seconds(5);
// An mpirun that would notice later than this after us is not waited for.
constexpr absl::Duration kLongestLag = absl::Seconds(60);
// How long an mpirun may take to end after its ranks, where it can end.
constexpr absl::Duration kMpirunPatience = absl::Seconds(3);
// A guard that has not beaten for so many of its periods is stopped or gone.
constexpr int kStalePeriods = 4;

// The loss, as the progress board has it: how many nodes, and the first of them, from 1.
uint64_t PackLoss(const std::vector<size_t>& lost) {
  return static_cast<uint64_t>(lost.size()) << 32 | (lost.front() + 1);
}

absl::StatusOr<std::vector<LostNodeGuard::Card>> GatherCards(const LostNodeGuard::Card& mine) {
  int size = 0;
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_size(MPI_COMM_WORLD, &size));
  std::vector<LostNodeGuard::Card> cards(static_cast<size_t>(size));
  EQ_RETURN_IF_MPI_ERROR(MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, cards.data(), sizeof(mine),
                                       MPI_BYTE, MPI_COMM_WORLD));
  return cards;
}

// Rank 0's, on every rank.
struct Terms {
  JobToken token = {};
  double limit_seconds = 0;
};

absl::StatusOr<Terms> AgreeOnTerms(absl::Duration limit) {
  Terms terms;
  terms.limit_seconds = absl::ToDoubleSeconds(limit);
  // Without a token nobody looks.
  if (getentropy(terms.token.data(), terms.token.size()) != 0) terms.limit_seconds = 0;
  EQ_RETURN_IF_MPI_ERROR(MPI_Bcast(&terms, sizeof(terms), MPI_BYTE, 0, MPI_COMM_WORLD));
  return terms;
}

LostNodeGuard::Card MakeCard(int first_rank) {
  LostNodeGuard::Card card;
  card.first_rank = first_rank;
  card.has_mpirun = ParentIsMpirun();
  char host[MPI_MAX_PROCESSOR_NAME] = "unknown";
  int length = 0;
  MPI_Get_processor_name(host, &length);
  std::memcpy(card.host, host, std::min(sizeof(card.host) - 1, std::strlen(host)));
  return card;
}

std::string Seconds(absl::Duration duration) {
  return absl::StrCat(absl::ToDoubleSeconds(duration), " s");
}

}  // namespace

absl::StatusOr<std::unique_ptr<LostNodeGuard>> LostNodeGuard::Create(ProgressBoard* board,
                                                                     absl::Duration limit) {
  EQ_ASSIGN_OR_RETURN(const Terms terms, AgreeOnTerms(limit));
  if (terms.limit_seconds <= 0) return nullptr;
  std::unique_ptr<LostNodeGuard> guard(
      new LostNodeGuard(board, absl::Seconds(terms.limit_seconds)));
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_rank(MPI_COMM_WORLD, &guard->rank_));
  absl::StatusOr<std::unique_ptr<HeartbeatSocket>> socket = HeartbeatSocket::Open();
  Card mine = MakeCard(board->node_ranks().front());
  if (socket.ok()) mine.contact = (*socket)->contact();
  EQ_ASSIGN_OR_RETURN(const std::vector<Card> cards, GatherCards(mine));
  std::vector<HeartbeatContact> contacts = guard->SortCards(cards);
  if (guard->nodes_.size() == 1) return nullptr;
  if (!socket.ok()) {
    ReportToStderr('W', guard->rank_,
                   absl::StrCat("the loss of a node will only be noticed by waits that take too "
                                "long: ",
                                socket.status().message()));
  }
  const bool all_reachable = std::all_of(
      cards.begin(), cards.end(), [](const Card& card) { return card.contact.num_addresses > 0; });
  if (!all_reachable) return nullptr;
  board->BeatGuard();
  // Nobody looks at the guards of others before all of them have beaten once.
  EQ_RETURN_IF_MPI_ERROR(MPI_Barrier(MPI_COMM_WORLD));
  guard->Start(*std::move(socket), terms.token, std::move(contacts));
  if (guard->IsJudge()) guard->watch_->WaitUntilAllHeard(kIntroduction);
  return guard;
}

LostNodeGuard::~LostNodeGuard() = default;

std::vector<HeartbeatContact> LostNodeGuard::SortCards(const std::vector<Card>& cards) {
  std::map<int, size_t> node_of_first;  // nodes are numbered by their first ranks
  std::vector<HeartbeatContact> contacts;
  for (size_t rank = 0; rank < cards.size(); ++rank) {
    const Card& card = cards[rank];
    const auto [entry, is_new] = node_of_first.try_emplace(card.first_rank, nodes_.size());
    if (is_new) {
      nodes_.push_back({std::string(card.host), {}, card.has_mpirun});
      contacts.push_back(card.contact);
    }
    nodes_[entry->second].ranks.push_back(static_cast<int>(rank));
    if (static_cast<int>(rank) == rank_) node_ = entry->second;
  }
  return contacts;
}

void LostNodeGuard::Start(std::unique_ptr<HeartbeatSocket> socket, const JobToken& token,
                          std::vector<HeartbeatContact> contacts) {
  NodeWatch::Options options;
  options.node = node_;
  options.token = token;
  options.contacts = std::move(contacts);
  options.limit = limit_;
  options.judges = IsJudge();
  options.speaks = [this] { return Speaks(); };
  options.on_lost = [this](const std::vector<size_t>& lost) { OnLost(lost); };
  options.on_unheard = [this](const std::vector<size_t>& unheard) {
    ReportToStderr('W', rank_,
                   absl::StrCat(Describe(unheard),
                                " has not been heard on UDP: a firewall? Its "
                                "loss will only be noticed by waits that take "
                                "too long"));
  };
  options.on_tick = [this] { OnTick(); };
  watch_ = std::make_unique<NodeWatch>(std::move(socket), std::move(options));
}

std::optional<std::string> LostNodeGuard::Loss() const {
  const uint64_t loss = board_->ReadLoss(nodes_[node_].ranks.front());
  if (loss == 0) return std::nullopt;
  const size_t first = (loss & 0xffffffff) - 1;
  const size_t others = (loss >> 32) - 1;
  std::string text = Describe({first});
  if (others > 0) absl::StrAppend(&text, " and ", others, others == 1 ? " other" : " others");
  return absl::StrCat(text, ": not heard of for ", Seconds(limit_), ", lost or cut off");
}

// Bounded all the same: once a loss is told, the watch's thread ends the process (EndThisProcess).
void LostNodeGuard::End() const {
  while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
}

absl::Status LostNodeGuard::Finish() {
  // The first meeting may still be one with a lost node; in the second nobody judges any more, so
  // that nobody who leaves it looks lost to a slower one.
  EQ_RETURN_IF_MPI_ERROR(MPI_Barrier(MPI_COMM_WORLD));
  watch_->StopJudging();
  EQ_RETURN_IF_MPI_ERROR(MPI_Barrier(MPI_COMM_WORLD));
  return absl::OkStatus();
}

bool LostNodeGuard::Speaks() const {
  board_->BeatGuard();
  for (const int rank : nodes_[node_].ranks) {
    if (rank == rank_) return true;
    if (board_->GuardSilentFor(rank) < kStalePeriods * NodeWatch::Period(limit_)) return false;
  }
  return true;
}

void LostNodeGuard::OnLost(const std::vector<size_t>& lost) {
  size_t speaker = 0;
  while (speaker < lost.size() && lost[speaker] == speaker) ++speaker;
  if (speaker == node_) {
    ReportToStderr('E', rank_,
                   absl::StrCat(Describe(lost), ": not heard of for ", Seconds(limit_),
                                ", lost or cut off. The job ends; run it again to go on from the "
                                "newest checkpoint. ",
                                DescribeEnd(lost)));
  }
  kills_parent_ = ParentWaitsFor(lost);
  board_->PublishLoss(PackLoss(lost));
}

bool LostNodeGuard::ParentWaitsFor(const std::vector<size_t>& lost) const {
  const bool lost_mpirun = std::any_of(lost.begin(), lost.end(),
                                       [this](size_t node) { return nodes_[node].has_mpirun; });
  return nodes_[node_].has_mpirun || lost_mpirun;
}

std::string LostNodeGuard::Describe(const std::vector<size_t>& nodes) const {
  const auto describe = [this](std::string* out, size_t node) {
    absl::StrAppend(out, nodes_[node].host, " (",
                    nodes_[node].ranks.size() == 1 ? "rank " : "ranks ",
                    absl::StrJoin(nodes_[node].ranks, ", "), ")");
  };
  return absl::StrCat(nodes.size() == 1 ? "node " : "nodes ", absl::StrJoin(nodes, ", ", describe));
}

bool LostNodeGuard::MpirunNoticesSoon() const {
  return MpirunNoticesAfter() <= limit_ + kLongestLag;
}

std::string LostNodeGuard::DescribeEnd(const std::vector<size_t>& lost) const {
  if (MpirunNoticesSoon()) return "mpirun will notice as well and end";
  for (size_t node = 0; node < nodes_.size(); ++node) {
    const bool is_lost = std::find(lost.begin(), lost.end(), node) != lost.end();
    if (nodes_[node].has_mpirun && !is_lost) {
      return "mpirun is killed, since it would wait for the node for ever";
    }
  }
  return absl::StrCat("If mpirun waits for the node, kill it; with ", MpirunNoticeFlags(limit_),
                      " it ends by itself");
}

void LostNodeGuard::OnTick() {
  if (!end_at_.has_value()) {
    if (board_->ReadLoss(nodes_[node_].ranks.front()) == 0) return;
    absl::Duration grace = kLastWords;
    if (MpirunNoticesSoon()) {
      grace = std::max(grace, MpirunNoticesAfter() + kMpirunsEnd - limit_);
    }
    end_at_ = Clock::now() + absl::ToChronoMilliseconds(grace);
  }
  if (Clock::now() >= *end_at_) EndProcess();
}

void LostNodeGuard::EndProcess() const {
  if (kills_parent_) KillParentAfter(kMpirunPatience);
  EndThisProcess();
}

}  // namespace equipoise::comm
