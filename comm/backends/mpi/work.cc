#include "comm/backends/mpi/work.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "comm/backends/mpi/status.h"
#include "comm/backoff.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

// A rank that computes is silent too: shorter silences say nothing.
constexpr absl::Duration kNoticeableSilence = absl::Seconds(1);

// Of no message.
constexpr int kNoTag = 2;

// A rank that stopped after it had entered the operation is not missing, but it is silent.
std::string DescribeSilentRanks(const MpiRuntime& runtime, const MpiGroup& group,
                                const OpLabel& label) {
  std::string text;
  for (int peer = 0; peer < label.size; ++peer) {
    const int world_rank = group.world_ranks[static_cast<size_t>(peer)];
    const std::optional<absl::Duration> silent = runtime.board().SilentFor(world_rank);
    if (peer == label.rank || !silent.has_value() || *silent < kNoticeableSilence) continue;
    absl::StrAppend(&text, text.empty() ? "; without a sign of life: " : ", ", "rank ", peer,
                    " for ", absl::FormatDuration(absl::Trunc(*silent, absl::Milliseconds(100))));
  }
  return text;
}

}  // namespace

absl::Status WaitUntil(MpiRuntime& runtime, const WaitOptions& options, const OpLabel& label,
                       const std::function<bool()>& test,
                       const std::function<std::string()>& missing) {
  WaitClock clock(options, label);
  Backoff backoff;
  while (!test()) {
    runtime.board().Beat();
    absl::Status status = runtime.CheckNodes();
    if (status.ok()) status = clock.Check(missing);
    if (!status.ok()) {
      runtime.MarkBroken();
      return status;
    }
    if (options.meanwhile != nullptr) (*options.meanwhile)();
    backoff.Pause(clock.elapsed());
  }
  return absl::OkStatus();
}

MpiWork::~MpiWork() {
  if (!complete_) {
    // After a time-out MPI still reads the types and writes the scratch memory: they are left to
    // the end of the process, which is near.
    for (ScratchPool::Buffer& buffer : scratch_) buffer.data.release();
    return;
  }
  for (MPI_Datatype& type : types_) MPI_Type_free(&type);
}

bool MpiWork::Test() {
  if (complete_) return true;
  int done = 0;
  statuses_.resize(requests_.size());
  const int code =
      MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, statuses_.data());
  if (code == MPI_SUCCESS) {
    if (done != 0) Complete();
    return complete_;
  }
  complete_ = true;
  int cause = code;
  for (const MPI_Status& status : statuses_) {
    if (code == MPI_ERR_IN_STATUS && status.MPI_ERROR != MPI_SUCCESS) cause = status.MPI_ERROR;
  }
  const absl::Status failure = MpiStatus(cause, label_.verb);
  status_ = absl::Status(failure.code(), absl::StrCat(label_.ToString(), ": ", failure.message()));
  return true;
}

void MpiWork::Complete() {
  complete_ = true;
  if (finish_) finish_();
  for (ScratchPool::Buffer& buffer : scratch_) runtime_->scratch().GiveBack(std::move(buffer));
  scratch_.clear();
}

absl::Status MpiWork::Wait(const WaitOptions& options) {
  EQ_RETURN_IF_ERROR(WaitUntil(
      *runtime_, options, label_, [this] { return Test(); }, [this] { return DescribeMissing(); }));
  return status_;
}

absl::StatusOr<MPI_Datatype> MpiWork::AddRowType(int count, MPI_Datatype element) {
  MPI_Datatype type = MPI_DATATYPE_NULL;
  EQ_RETURN_IF_MPI_ERROR(MPI_Type_contiguous(count, element, &type));
  types_.push_back(type);
  EQ_RETURN_IF_MPI_ERROR(MPI_Type_commit(&types_.back()));
  return types_.back();
}

std::string MpiWork::DescribeMissing() const {
  std::vector<int> missing;
  std::vector<int> unknown;
  for (int peer = 0; peer < label_.size; ++peer) {
    const int world_rank = group_.world_ranks[static_cast<size_t>(peer)];
    const std::optional<uint64_t> entered = runtime_->board().Read(world_rank, group_.slot);
    if (!entered.has_value()) {
      unknown.push_back(peer);
    } else if (*entered <= label_.sequence) {
      missing.push_back(peer);
    }
  }
  return absl::StrCat(DescribeMissingRanks(missing, unknown),
                      DescribeSilentRanks(*runtime_, group_, label_));
}

bool MpiWrites::Test() {
  if (writes_.Arrived()) return true;
  // MPI moves bytes only inside calls, and others may need ours before they write.
  int found = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, kNoTag, group_.comm, &found, MPI_STATUS_IGNORE);
  return false;
}

absl::Status MpiWrites::Wait(const WaitOptions& options) {
  return WaitUntil(
      *runtime_, options, label_, [this] { return Test(); },
      [this] {
        return absl::StrCat(DescribeMissingRanks(writes_.Missing(), {}),
                            DescribeSilentRanks(*runtime_, group_, label_));
      });
}

}  // namespace equipoise::comm
