#include "comm/backends/mpi/communicator.h"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/mpi/node_group.h"
#include "comm/backends/mpi/runtime.h"
#include "comm/backends/mpi/shared_memory.h"
#include "comm/backends/mpi/status.h"
#include "comm/backends/mpi/work.h"
#include "comm/local_copy.h"
#include "comm/reduce.h"
#include "comm/verb.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

// MPI 3 counts are ints. Longer reductions and broadcasts go in pieces of this many elements.
constexpr int64_t kPieceElements = int64_t{1} << 30;

// Reductions of ours add in rank order: a reduce-scatter is an all-to-all and a local sum (which
// was also 2 to 5 times as fast as MPI_Ireduce_scatter_block of OpenMPI 4.1), a small all-reduce
// an all-gather and a local sum. "Small" is when all ranks' tensors together have this size; larger
// ones are left to MPI_Iallreduce, in an order of its own that depends on the size and the ranks.
constexpr size_t kGatheredBytes = size_t{256} << 10;

MPI_Datatype TypeOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return MPI_FLOAT;
    case DType::kF64:
      return MPI_DOUBLE;
    case DType::kI32:
      return MPI_INT32_T;
    case DType::kI64:
      return MPI_INT64_T;
    case DType::kU8:
      return MPI_UINT8_T;
  }
  return MPI_DATATYPE_NULL;
}

MPI_Op OpOf(ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum:
      return MPI_SUM;
    case ReduceOp::kMax:
      return MPI_MAX;
    case ReduceOp::kMin:
      return MPI_MIN;
  }
  return MPI_OP_NULL;
}

// Of the messages of AllToAllRows.
constexpr int kRowsTag = 1;

absl::StatusOr<int> ToInt(int64_t value, const char* what) {
  if (value > std::numeric_limits<int>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": ", value, " is more than MPI's int counts hold; use smaller pieces"));
  }
  return static_cast<int>(value);
}

// Rows per peer as MPI wants them: ints, and where each peer's first row is.
struct RowLayout {
  std::vector<int> counts;
  std::vector<int> offsets;
};

absl::StatusOr<RowLayout> LayOut(std::span<const int64_t> rows) {
  RowLayout layout;
  int64_t offset = 0;
  for (const int64_t count : rows) {
    EQ_ASSIGN_OR_RETURN(const int narrow_offset, ToInt(offset, "AllToAllRows"));
    EQ_ASSIGN_OR_RETURN(const int narrow_count, ToInt(count, "AllToAllRows"));
    layout.offsets.push_back(narrow_offset);
    layout.counts.push_back(narrow_count);
    offset += count;
  }
  return layout;
}

class MpiCommunicator final : public Communicator {
 public:
  // Takes over `comm`. Collective over it.
  static absl::StatusOr<std::unique_ptr<Communicator>> Create(std::shared_ptr<MpiRuntime> runtime,
                                                              MPI_Comm comm,
                                                              const std::string& name);
  ~MpiCommunicator() override {
    if (!runtime_->broken()) MPI_Comm_free(&group_.comm);
  }

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(group_.world_ranks.size()); }
  const std::string& name() const override { return name_; }
  std::string host() const override;
  std::string node_group() const override;

  absl::StatusOr<Work> Barrier(const Context& context) override;
  absl::StatusOr<Work> Broadcast(const Context& context, TensorView data, int root) override;
  absl::StatusOr<Work> AllReduce(const Context& context, TensorView data, ReduceOp op) override;
  absl::StatusOr<Work> ReduceScatter(const Context& context, ConstTensorView send,
                                     TensorView receive) override;
  absl::StatusOr<Work> AllGather(const Context& context, ConstTensorView send,
                                 TensorView receive) override;
  absl::StatusOr<Work> AllToAllRows(const Context& context, ConstTensorView send,
                                    std::span<const int64_t> send_rows, TensorView receive,
                                    std::span<const int64_t> receive_rows) override;
  absl::StatusOr<std::unique_ptr<Communicator>> Split(int color, int key,
                                                      const std::string& name) override;
  absl::StatusOr<std::unique_ptr<SharedMemory>> AllocateShared(size_t bytes) override;
  absl::StatusOr<Work> ExchangeWrites(SharedWrites writes) override;
  void Abort(const absl::Status& reason) override {
    runtime_->Abort(rank_, absl::StrCat("rank ", rank_, " of '", name_,
                                        "' ended the job: ", reason.ToString()));
  }

 private:
  MpiCommunicator(std::shared_ptr<MpiRuntime> runtime, std::string name)
      : runtime_(std::move(runtime)), name_(std::move(name)) {}

  size_t num_ranks() const { return group_.world_ranks.size(); }
  // All-reduce of a small tensor: everyone gets everything and adds it up.
  absl::Status GatherAndReduce(MpiWork& work, TensorView data, ReduceOp op);
  // Numbers the next collective and tells the others of this node that it has been entered.
  OpLabel NextLabel(Verb verb);
  std::unique_ptr<MpiWork> Begin(Verb verb);
  absl::Status RequireHost(const Context& context, ConstTensorView tensor) const {
    return RequireHostMemory(context, tensor, "the mpi backend");
  }

  const std::shared_ptr<MpiRuntime> runtime_;
  const std::string name_;
  MpiGroup group_;
  int rank_ = 0;
  uint64_t next_sequence_ = 0;
};

// The numbers in MPI_COMM_WORLD of the ranks of `comm`, in its order.
absl::StatusOr<std::vector<int>> WorldRanks(MPI_Comm comm) {
  int size = 0;
  int world_rank = 0;
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_size(comm, &size));
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_rank(MPI_COMM_WORLD, &world_rank));
  std::vector<int> world_ranks(static_cast<size_t>(size));
  EQ_RETURN_IF_MPI_ERROR(
      MPI_Allgather(&world_rank, 1, MPI_INT, world_ranks.data(), 1, MPI_INT, comm));
  return world_ranks;
}

absl::StatusOr<std::unique_ptr<Communicator>> MpiCommunicator::Create(
    std::shared_ptr<MpiRuntime> runtime, MPI_Comm comm, const std::string& name) {
  std::unique_ptr<MpiCommunicator> made(new MpiCommunicator(std::move(runtime), name));
  made->group_.comm = comm;
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_rank(comm, &made->rank_));
  EQ_ASSIGN_OR_RETURN(made->group_.slot, made->runtime_->TakeSlot(comm));
  EQ_ASSIGN_OR_RETURN(made->group_.world_ranks, WorldRanks(comm));
  return made;
}

std::string MpiCommunicator::host() const {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  if (MPI_Get_processor_name(name.data(), &length) != MPI_SUCCESS) return "unknown";
  return std::string(name.data(), static_cast<size_t>(length));
}

std::string MpiCommunicator::node_group() const { return NodeGroup(std::getenv); }

OpLabel MpiCommunicator::NextLabel(Verb verb) {
  const uint64_t sequence = next_sequence_++;
  runtime_->board().Publish(group_.slot, next_sequence_);
  return {Name(verb), sequence, name_, rank_, size(), runtime_->patience()};
}

std::unique_ptr<MpiWork> MpiCommunicator::Begin(Verb verb) {
  return std::make_unique<MpiWork>(runtime_, group_, NextLabel(verb));
}

absl::StatusOr<Work> MpiCommunicator::Barrier(const Context&) {
  std::unique_ptr<MpiWork> work = Begin(Verb::kBarrier);
  EQ_RETURN_IF_MPI_ERROR(MPI_Ibarrier(group_.comm, work->AddRequest()));
  return Work(std::move(work));
}

absl::StatusOr<Work> MpiCommunicator::Broadcast(const Context& context, TensorView data, int root) {
  EQ_RETURN_IF_ERROR(RequireHost(context, data));
  std::unique_ptr<MpiWork> work = Begin(Verb::kBroadcast);
  const TensorView flat = data.Reshaped({data.num_elements()});
  for (int64_t begin = 0; begin < flat.dim(0); begin += kPieceElements) {
    const TensorView piece = flat.Rows(begin, std::min(begin + kPieceElements, flat.dim(0)));
    EQ_RETURN_IF_MPI_ERROR(MPI_Ibcast(piece.raw(), static_cast<int>(piece.dim(0)),
                                      TypeOf(data.dtype()), root, group_.comm, work->AddRequest()));
  }
  return Work(std::move(work));
}

absl::StatusOr<Work> MpiCommunicator::AllReduce(const Context& context, TensorView data,
                                                ReduceOp op) {
  EQ_RETURN_IF_ERROR(RequireHost(context, data));
  std::unique_ptr<MpiWork> work = Begin(Verb::kAllReduce);
  if (data.num_bytes() == 0) return Work(std::move(work));
  if (data.num_bytes() * num_ranks() <= kGatheredBytes) {
    EQ_RETURN_IF_ERROR(GatherAndReduce(*work, data, op));
    return Work(std::move(work));
  }
  const TensorView flat = data.Reshaped({data.num_elements()});
  for (int64_t begin = 0; begin < flat.dim(0); begin += kPieceElements) {
    const TensorView piece = flat.Rows(begin, std::min(begin + kPieceElements, flat.dim(0)));
    EQ_RETURN_IF_MPI_ERROR(MPI_Iallreduce(MPI_IN_PLACE, piece.raw(), static_cast<int>(piece.dim(0)),
                                          TypeOf(data.dtype()), OpOf(op), group_.comm,
                                          work->AddRequest()));
  }
  return Work(std::move(work));
}

absl::Status MpiCommunicator::GatherAndReduce(MpiWork& work, TensorView data, ReduceOp op) {
  const int count = static_cast<int>(data.num_elements());
  const MPI_Datatype type = TypeOf(data.dtype());
  void* all = work.AddScratch(data.num_bytes() * num_ranks());
  EQ_RETURN_IF_MPI_ERROR(
      MPI_Iallgather(data.raw(), count, type, all, count, type, group_.comm, work.AddRequest()));
  work.FinishWith([all, data, op, blocks = num_ranks()] {
    CombineBlocks(op, data.dtype(), all, blocks, data.num_bytes(), data.raw());
  });
  return absl::OkStatus();
}

absl::StatusOr<Work> MpiCommunicator::ReduceScatter(const Context& context, ConstTensorView send,
                                                    TensorView receive) {
  EQ_RETURN_IF_ERROR(RequireHost(context, receive));
  EQ_ASSIGN_OR_RETURN(const int count, ToInt(receive.num_elements(), "ReduceScatter"));
  std::unique_ptr<MpiWork> work = Begin(Verb::kReduceScatter);
  if (count == 0) return Work(std::move(work));
  const MPI_Datatype type = TypeOf(send.dtype());
  void* terms = work->AddScratch(send.num_bytes());
  EQ_RETURN_IF_MPI_ERROR(
      MPI_Ialltoall(send.raw(), count, type, terms, count, type, group_.comm, work->AddRequest()));
  work->FinishWith([terms, receive, blocks = num_ranks()] {
    CombineBlocks(ReduceOp::kSum, receive.dtype(), terms, blocks, receive.num_bytes(),
                  receive.raw());
  });
  return Work(std::move(work));
}

absl::StatusOr<Work> MpiCommunicator::AllGather(const Context& context, ConstTensorView send,
                                                TensorView receive) {
  EQ_RETURN_IF_ERROR(RequireHost(context, receive));
  // Rows of the block as one type, so that only their number has to fit an int.
  const int64_t rows = send.shape().rank() == 0 ? 1 : send.dim(0);
  EQ_ASSIGN_OR_RETURN(const int count, ToInt(rows, "AllGather"));
  EQ_ASSIGN_OR_RETURN(const int row_elements,
                      ToInt(rows == 0 ? 0 : send.num_elements() / rows, "AllGather"));
  std::unique_ptr<MpiWork> work = Begin(Verb::kAllGather);
  if (send.num_elements() == 0) return Work(std::move(work));
  EQ_ASSIGN_OR_RETURN(const MPI_Datatype row, work->AddRowType(row_elements, TypeOf(send.dtype())));
  const std::byte* own_block =
      static_cast<const std::byte*>(receive.raw()) + static_cast<size_t>(rank_) * send.num_bytes();
  const void* source = send.raw() == own_block ? MPI_IN_PLACE : send.raw();
  EQ_RETURN_IF_MPI_ERROR(MPI_Iallgather(source, count, row, receive.raw(), count, row, group_.comm,
                                        work->AddRequest()));
  return Work(std::move(work));
}

// Not MPI_Ialltoallv: in OpenMPI 4.1 a rank without a row to send, receive or keep returns from it
// without counting the call, and is out of step with the others in every collective that follows.
absl::StatusOr<Work> MpiCommunicator::AllToAllRows(const Context& context, ConstTensorView send,
                                                   std::span<const int64_t> send_rows,
                                                   TensorView receive,
                                                   std::span<const int64_t> receive_rows) {
  EQ_RETURN_IF_ERROR(RequireHost(context, send));
  EQ_ASSIGN_OR_RETURN(const int row_elements, ToInt(send.shape().row_elements(), "AllToAllRows"));
  EQ_ASSIGN_OR_RETURN(const RowLayout out, LayOut(send_rows));
  EQ_ASSIGN_OR_RETURN(const RowLayout in, LayOut(receive_rows));
  const size_t row_bytes = static_cast<size_t>(row_elements) * SizeOf(send.dtype());
  std::unique_ptr<MpiWork> work = Begin(Verb::kAllToAllRows);
  if (row_elements == 0) return Work(std::move(work));
  EQ_ASSIGN_OR_RETURN(const MPI_Datatype row, work->AddRowType(row_elements, TypeOf(send.dtype())));
  const auto at = [&](auto* base, const RowLayout& layout, size_t peer) {
    return base + static_cast<size_t>(layout.offsets[peer]) * row_bytes;
  };
  const auto* from = static_cast<const std::byte*>(send.raw());
  auto* to = static_cast<std::byte*>(receive.raw());
  const size_t me = static_cast<size_t>(rank_);
  // Everyone starts with another peer. A pair's messages cannot overtake each other, so that one
  // tag is enough for all that are in flight.
  for (size_t step = 1; step < num_ranks(); ++step) {
    const size_t peer = (me + num_ranks() - step) % num_ranks();
    if (in.counts[peer] == 0) continue;
    EQ_RETURN_IF_MPI_ERROR(MPI_Irecv(at(to, in, peer), in.counts[peer], row, static_cast<int>(peer),
                                     kRowsTag, group_.comm, work->AddRequest()));
  }
  for (size_t step = 1; step < num_ranks(); ++step) {
    const size_t peer = (me + step) % num_ranks();
    if (out.counts[peer] == 0) continue;
    EQ_RETURN_IF_MPI_ERROR(MPI_Isend(at(from, out, peer), out.counts[peer], row,
                                     static_cast<int>(peer), kRowsTag, group_.comm,
                                     work->AddRequest()));
  }
  if (out.counts[me] > 0) {
    std::memcpy(at(to, in, me), at(from, out, me), static_cast<size_t>(out.counts[me]) * row_bytes);
  }
  return Work(std::move(work));
}

absl::StatusOr<std::unique_ptr<Communicator>> MpiCommunicator::Split(int color, int key,
                                                                     const std::string& name) {
  EQ_CHECK_GE(color, 0);
  // MPI_Comm_split waits without a clock; meeting here first means that it will not wait long.
  EQ_ASSIGN_OR_RETURN(Work everyone, Barrier({}));
  const std::string what = absl::StrCat("splitting off '", name, "'");
  EQ_RETURN_IF_ERROR(everyone.Wait({.name = what.c_str()}));
  MPI_Comm comm = MPI_COMM_NULL;
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_split(group_.comm, color, key, &comm));
  return Create(runtime_, comm, name);
}

absl::StatusOr<std::unique_ptr<SharedMemory>> MpiCommunicator::AllocateShared(size_t bytes) {
  EQ_ASSIGN_OR_RETURN(Work everyone, Barrier({}));  // as in Split
  EQ_RETURN_IF_ERROR(everyone.Wait({.name = "allocating shared memory"}));
  return MpiSharedMemory::Create(runtime_, group_.comm, bytes);
}

absl::StatusOr<Work> MpiCommunicator::ExchangeWrites(SharedWrites writes) {
  OpLabel label = NextLabel(Verb::kExchangeWrites);
  writes.Announce();
  return Work(std::make_unique<MpiWrites>(runtime_, group_, std::move(label), std::move(writes)));
}

}  // namespace

std::string MpiLibraryVersion() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  if (MPI_Get_library_version(text, &length) != MPI_SUCCESS) return "MPI";
  // "Open MPI v4.1.4, package: ...": what follows is about the machine that built it.
  const std::string whole(text, static_cast<size_t>(length));
  return whole.substr(0, whole.find_first_of(",\n"));
}

absl::StatusOr<std::unique_ptr<MpiWorld>> MpiWorld::Create(int* argc, char*** argv,
                                                           const Patience& patience) {
  EQ_ASSIGN_OR_RETURN(std::shared_ptr<MpiRuntime> runtime,
                      MpiRuntime::Create(argc, argv, patience));
  MPI_Comm comm = MPI_COMM_NULL;
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
  EQ_ASSIGN_OR_RETURN(std::unique_ptr<Communicator> communicator,
                      MpiCommunicator::Create(std::move(runtime), comm, "world"));
  return std::unique_ptr<MpiWorld>(new MpiWorld(std::move(communicator)));
}

}  // namespace equipoise::comm
