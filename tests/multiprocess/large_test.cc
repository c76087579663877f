// Tensors of more elements than MPI's int counts hold. Needs about 3 GiB; see --soak.

#include <vector>

#include "comm/backends/mpi/communicator.h"
#include "comm/collectives.h"
#include "core/base/status_macros.h"
#include "tests/multiprocess/rank_test.h"
#include "tests/support/test_context.h"

namespace equipoise::multiprocess {
namespace {

using comm::Communicator;

constexpr int64_t kWidth = int64_t{1} << 20;
constexpr int64_t kRows = 2100;
static_assert(kWidth * kRows > int64_t{1} << 31);

// Rank 0 sends 2.2e9 bytes to the last rank, whose first and last must be right.
absl::Status MoreThanIntElements(Communicator& world) {
  testing_support::TestContext memory(size_t{4} << 30);
  const int last = world.size() - 1;
  std::vector<int64_t> send_rows(static_cast<size_t>(world.size()), 0);
  std::vector<int64_t> receive_rows = send_rows;
  if (world.rank() == 0) send_rows.back() = kRows;
  if (world.rank() == last) receive_rows.front() = kRows;
  Workspace& scratch = *memory.context().scratch;
  const int64_t out_rows = world.rank() == 0 ? kRows : 0;
  const int64_t in_rows = world.rank() == last ? kRows : 0;
  // Workspace memory is untouched, so what is not written here is one shared page of zeros.
  const TensorView send = scratch.Allocate(DType::kU8, {out_rows, kWidth});
  const TensorView receive = memory.context().activations->Allocate(DType::kU8, {in_rows, kWidth});
  if (world.rank() == 0) {
    send.cpu<uint8_t>().front() = 17;
    send.cpu<uint8_t>().back() = 19;
  }
  EQ_RETURN_IF_ERROR(
      comm::AllToAllRows(world, memory.context(), send, send_rows, receive, receive_rows));
  if (world.rank() == last &&
      (receive.cpu<uint8_t>().front() != 17 || receive.cpu<uint8_t>().back() != 19)) {
    return absl::InternalError("the first or last element did not arrive");
  }
  return absl::OkStatus();
}

// One type of rows wider than an int: refused by every rank, before anything starts.
absl::Status RowsTooWide(Communicator& world) {
  testing_support::TestContext memory(size_t{8} << 30);
  Workspace& scratch = *memory.context().scratch;
  const std::vector<int64_t> none(static_cast<size_t>(world.size()), 0);
  const TensorView send = scratch.Allocate(DType::kU8, {0, kWidth * kRows});
  const TensorView receive = scratch.Allocate(DType::kU8, {0, kWidth * kRows});
  const absl::Status status =
      comm::AllToAllRows(world, memory.context(), send, none, receive, none);
  if (!absl::IsInvalidArgument(status)) {
    return absl::InternalError("expected InvalidArgument, got " + status.ToString());
  }
  return comm::Barrier(world, memory.context());
}

absl::Status OneWorldPerProcess(Communicator&) {
  const absl::Status second = comm::MpiWorld::Create().status();
  if (absl::IsFailedPrecondition(second)) return absl::OkStatus();
  return absl::InternalError("a second MPI world: " + second.ToString());
}

}  // namespace

void RegisterRankTests(Communicator& world) {
  AddRankTest(world, "Large", "MoreThanIntElements", MoreThanIntElements);
  AddRankTest(world, "Large", "RowsTooWide", RowsTooWide);
  AddRankTest(world, "Large", "OneWorldPerProcess", OneWorldPerProcess);
}

}  // namespace equipoise::multiprocess
