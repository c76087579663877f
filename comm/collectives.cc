#include "comm/collectives.h"

#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "comm/host_mirror.h"
#include "comm/local_copy.h"
#include "core/base/status_macros.h"
#include "core/tensor/tensor.h"

namespace equipoise::comm {
namespace {

std::string Describe(ConstTensorView tensor) {
  return absl::StrCat(Name(tensor.dtype()), " ", tensor.shape().ToString());
}

template <typename... Parts>
absl::Status Wrong(const Communicator& group, const char* verb, const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(
      verb, " on '", group.name(), "', rank ", group.rank(), " of ", group.size(), ": ", parts...));
}

// Element addresses, as integers: comparing pointers into different arrays is not defined.
bool Overlap(ConstTensorView a, ConstTensorView b) {
  if (a.device() != b.device() || a.num_bytes() == 0 || b.num_bytes() == 0) return false;
  const uintptr_t a_begin = reinterpret_cast<uintptr_t>(a.raw());
  const uintptr_t b_begin = reinterpret_cast<uintptr_t>(b.raw());
  return a_begin < b_begin + b.num_bytes() && b_begin < a_begin + a.num_bytes();
}

absl::Status CheckOne(const Communicator& group, const char* verb, ConstTensorView data) {
  if (data.absent() || (data.raw() == nullptr && data.num_bytes() > 0)) {
    return Wrong(group, verb, "a tensor is absent");
  }
  return absl::OkStatus();
}

absl::Status CheckPair(const Communicator& group, const char* verb, ConstTensorView send,
                       ConstTensorView receive) {
  EQ_RETURN_IF_ERROR(CheckOne(group, verb, send));
  EQ_RETURN_IF_ERROR(CheckOne(group, verb, receive));
  if (send.dtype() != receive.dtype() || send.device() != receive.device()) {
    return Wrong(group, verb, "send is ", Describe(send), ", receive is ", Describe(receive),
                 "; types and devices must agree");
  }
  return absl::OkStatus();
}

// `whole` must be size() blocks of `block`, cut along whole's first axis.
absl::Status CheckBlocks(const Communicator& group, const char* verb, ConstTensorView whole,
                         ConstTensorView block) {
  if (whole.shape().rank() < 1 || whole.dim(0) % group.size() != 0 ||
      whole.num_elements() != block.num_elements() * group.size()) {
    return Wrong(group, verb, Describe(whole), " is not ", group.size(), " blocks of ",
                 Describe(block), " along the first axis");
  }
  return absl::OkStatus();
}

absl::Status CheckRowCounts(const Communicator& group, const char* verb, const char* side,
                            ConstTensorView tensor, std::span<const int64_t> rows) {
  if (rows.size() != static_cast<size_t>(group.size())) {
    return Wrong(group, verb, rows.size(), " ", side, " counts for ", group.size(), " ranks");
  }
  for (size_t peer = 0; peer < rows.size(); ++peer) {
    if (rows[peer] < 0) {
      return Wrong(group, verb, side, " count of rank ", peer, " is ", rows[peer]);
    }
  }
  const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  if (tensor.shape().rank() < 1 || tensor.dim(0) != total) {
    return Wrong(group, verb, side, " counts [", absl::StrJoin(rows, ", "), "] sum to ", total,
                 ", the tensor is ", Describe(tensor));
  }
  return absl::OkStatus();
}

absl::Status CheckAllToAll(const Communicator& group, ConstTensorView send,
                           std::span<const int64_t> send_rows, ConstTensorView receive,
                           std::span<const int64_t> receive_rows) {
  constexpr const char* kVerb = "AllToAllRows";
  EQ_RETURN_IF_ERROR(CheckPair(group, kVerb, send, receive));
  EQ_RETURN_IF_ERROR(CheckRowCounts(group, kVerb, "send", send, send_rows));
  EQ_RETURN_IF_ERROR(CheckRowCounts(group, kVerb, "receive", receive, receive_rows));
  if (send.shape().row_elements() != receive.shape().row_elements()) {
    return Wrong(group, kVerb, "rows differ: send is ", Describe(send), ", receive is ",
                 Describe(receive));
  }
  const size_t self = static_cast<size_t>(group.rank());
  if (send_rows[self] != receive_rows[self]) {
    return Wrong(group, kVerb, "sends ", send_rows[self], " rows to itself and receives ",
                 receive_rows[self]);
  }
  if (Overlap(send, receive)) return Wrong(group, kVerb, "send and receive overlap");
  return absl::OkStatus();
}

// Completes what a Start function gave.
absl::Status Finish(absl::StatusOr<Work> started, const WaitOptions& wait) {
  EQ_ASSIGN_OR_RETURN(Work work, std::move(started));
  return work.Wait(wait);
}

}  // namespace

absl::StatusOr<Work> StartAllReduce(Communicator& group, const Context& context, TensorView data,
                                    ReduceOp op) {
  EQ_RETURN_IF_ERROR(CheckOne(group, "AllReduce", data));
  if (group.size() == 1) return Work();
  return group.AllReduce(context, data, op);
}

absl::StatusOr<Work> StartReduceScatter(Communicator& group, const Context& context,
                                        ConstTensorView send, TensorView receive) {
  EQ_RETURN_IF_ERROR(CheckPair(group, "ReduceScatter", send, receive));
  EQ_RETURN_IF_ERROR(CheckBlocks(group, "ReduceScatter", send, receive));
  if (Overlap(send, receive)) return Wrong(group, "ReduceScatter", "send and receive overlap");
  if (group.size() > 1) return group.ReduceScatter(context, send, receive);
  EQ_RETURN_IF_ERROR(LocalCopy(context, send, receive));
  return Work();
}

absl::StatusOr<Work> StartAllGather(Communicator& group, const Context& context,
                                    ConstTensorView send, TensorView receive) {
  EQ_RETURN_IF_ERROR(CheckPair(group, "AllGather", send, receive));
  EQ_RETURN_IF_ERROR(CheckBlocks(group, "AllGather", receive, send));
  const std::byte* own_block = static_cast<const std::byte*>(receive.raw()) +
                               static_cast<size_t>(group.rank()) * send.num_bytes();
  if (Overlap(send, receive) && send.raw() != own_block) {
    return Wrong(group, "AllGather", "send overlaps receive and is not its block ", group.rank());
  }
  if (group.size() > 1) return group.AllGather(context, send, receive);
  EQ_RETURN_IF_ERROR(LocalCopy(context, send, receive));
  return Work();
}

absl::StatusOr<Work> StartAllToAllRows(Communicator& group, const Context& context,
                                       ConstTensorView send, std::span<const int64_t> send_rows,
                                       TensorView receive, std::span<const int64_t> receive_rows) {
  EQ_RETURN_IF_ERROR(CheckAllToAll(group, send, send_rows, receive, receive_rows));
  if (group.size() > 1) {
    return group.AllToAllRows(context, send, send_rows, receive, receive_rows);
  }
  EQ_RETURN_IF_ERROR(LocalCopy(context, send, receive));
  return Work();
}

absl::Status Barrier(Communicator& group, const Context& context, const WaitOptions& wait) {
  if (group.size() == 1) return absl::OkStatus();
  return Finish(group.Barrier(context), wait);
}

absl::Status Broadcast(Communicator& group, const Context& context, TensorView data, int root,
                       const WaitOptions& wait) {
  EQ_RETURN_IF_ERROR(CheckOne(group, "Broadcast", data));
  if (root < 0 || root >= group.size()) return Wrong(group, "Broadcast", "root is ", root);
  if (group.size() == 1) return absl::OkStatus();
  return Finish(group.Broadcast(context, data, root), wait);
}

absl::Status AllReduce(Communicator& group, const Context& context, TensorView data, ReduceOp op,
                       const WaitOptions& wait) {
  return Finish(StartAllReduce(group, context, data, op), wait);
}

absl::Status ReduceScatter(Communicator& group, const Context& context, ConstTensorView send,
                           TensorView receive, const WaitOptions& wait) {
  return Finish(StartReduceScatter(group, context, send, receive), wait);
}

absl::Status AllGather(Communicator& group, const Context& context, ConstTensorView send,
                       TensorView receive, const WaitOptions& wait) {
  return Finish(StartAllGather(group, context, send, receive), wait);
}

absl::Status AllToAllRows(Communicator& group, const Context& context, ConstTensorView send,
                          std::span<const int64_t> send_rows, TensorView receive,
                          std::span<const int64_t> receive_rows, const WaitOptions& wait) {
  return Finish(StartAllToAllRows(group, context, send, send_rows, receive, receive_rows), wait);
}

}  // namespace equipoise::comm
