#include "comm/backends/thread/move.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "comm/reduce.h"
#include "core/base/check.h"

namespace equipoise::comm {
namespace {

// Bytes reduced at a time: a few pages, so that the accumulator stays in the nearest cache.
constexpr size_t kBlockBytes = 16384;

void Copy(void* to, const void* from, size_t bytes) {
  if (bytes > 0 && to != from) std::memcpy(to, from, bytes);
}

const std::byte* At(ConstTensorView tensor, size_t offset) {
  return static_cast<const std::byte*>(tensor.raw()) + offset;
}

std::byte* At(TensorView tensor, size_t offset) {
  return static_cast<std::byte*>(tensor.raw()) + offset;
}

void MoveBroadcast(std::span<const Entry> entries) {
  const TensorView source = entries[static_cast<size_t>(entries[0].root)].receive;
  for (const Entry& entry : entries) Copy(entry.receive.raw(), source.raw(), source.num_bytes());
}

void MoveAllReduce(std::span<const Entry> entries) {
  alignas(64) std::array<std::byte, kBlockBytes> sum;
  const size_t total = entries[0].receive.num_bytes();
  for (size_t offset = 0; offset < total; offset += kBlockBytes) {
    const size_t bytes = std::min(kBlockBytes, total - offset);
    Copy(sum.data(), At(entries[0].receive, offset), bytes);
    for (const Entry& entry : entries.subspan(1)) {
      Combine(entry.op, entry.receive.dtype(), sum.data(), At(entry.receive, offset), bytes);
    }
    for (const Entry& entry : entries) Copy(At(entry.receive, offset), sum.data(), bytes);
  }
}

void MoveReduceScatter(std::span<const Entry> entries) {
  for (size_t to = 0; to < entries.size(); ++to) {
    const TensorView out = entries[to].receive;
    const size_t base = to * out.num_bytes();
    for (size_t offset = 0; offset < out.num_bytes(); offset += kBlockBytes) {
      const size_t bytes = std::min(kBlockBytes, out.num_bytes() - offset);
      Copy(At(out, offset), At(entries[0].send, base + offset), bytes);
      for (const Entry& entry : entries.subspan(1)) {
        Combine(ReduceOp::kSum, out.dtype(), At(out, offset), At(entry.send, base + offset), bytes);
      }
    }
  }
}

void MoveAllGather(std::span<const Entry> entries) {
  const size_t bytes = entries[0].send.num_bytes();
  for (const Entry& to : entries) {
    for (size_t from = 0; from < entries.size(); ++from) {
      Copy(At(to.receive, from * bytes), entries[from].send.raw(), bytes);
    }
  }
}

void MoveAllToAll(std::span<const Entry> entries) {
  std::vector<size_t> sent(entries.size(), 0);  // rows of each sender that have been delivered
  for (size_t to = 0; to < entries.size(); ++to) {
    size_t received = 0;
    for (size_t from = 0; from < entries.size(); ++from) {
      const Entry& sender = entries[from];
      const size_t row_bytes =
          static_cast<size_t>(sender.send.shape().row_elements()) * SizeOf(sender.send.dtype());
      const size_t rows = static_cast<size_t>(sender.send_rows[to]);
      Copy(At(entries[to].receive, received * row_bytes), At(sender.send, sent[from] * row_bytes),
           rows * row_bytes);
      sent[from] += rows;
      received += rows;
    }
  }
}

// Elements that must be equal on all ranks; all-to-all compares rows instead.
int64_t ComparedElements(const Entry& entry) {
  switch (entry.verb) {
    case Verb::kBarrier:
    case Verb::kSplit:
    case Verb::kAllocateShared:
      return 0;
    case Verb::kAllToAllRows:
      return entry.send.shape().row_elements();
    default:
      return entry.receive.num_elements();
  }
}

bool SameCollective(const Entry& a, const Entry& b) {
  return a.verb == b.verb && a.receive.dtype() == b.receive.dtype() && a.root == b.root &&
         a.op == b.op && ComparedElements(a) == ComparedElements(b);
}

absl::Status CheckRowsMatch(std::span<const Entry> entries) {
  for (size_t from = 0; from < entries.size(); ++from) {
    for (size_t to = 0; to < entries.size(); ++to) {
      if (entries[from].send_rows[to] == entries[to].receive_rows[from]) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("AllToAllRows: rank ", from, " sends ", entries[from].send_rows[to],
                       " rows to rank ", to, ", which expects ", entries[to].receive_rows[from]));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string Describe(const Entry& entry) {
  if (entry.verb == Verb::kBarrier || entry.verb == Verb::kSplit ||
      entry.verb == Verb::kAllocateShared) {
    return Name(entry.verb);
  }
  std::string text = absl::StrCat(Name(entry.verb), " ", Name(entry.receive.dtype()), " ",
                                  entry.receive.shape().ToString());
  if (entry.verb == Verb::kBroadcast) absl::StrAppend(&text, " from root ", entry.root);
  if (entry.verb == Verb::kAllReduce) {
    absl::StrAppend(&text, " with operation ", static_cast<int>(entry.op));
  }
  return text;
}

absl::Status CheckCompatible(std::span<const Entry> entries) {
  for (size_t rank = 1; rank < entries.size(); ++rank) {
    if (SameCollective(entries[0], entries[rank])) continue;
    return absl::InvalidArgumentError(absl::StrCat("ranks called different collectives: rank 0 ",
                                                   Describe(entries[0]), ", rank ", rank, " ",
                                                   Describe(entries[rank])));
  }
  if (entries[0].verb == Verb::kAllToAllRows) return CheckRowsMatch(entries);
  return absl::OkStatus();
}

void Move(std::span<const Entry> entries) {
  switch (entries[0].verb) {
    case Verb::kBarrier:
      return;
    case Verb::kBroadcast:
      return MoveBroadcast(entries);
    case Verb::kAllReduce:
      return MoveAllReduce(entries);
    case Verb::kReduceScatter:
      return MoveReduceScatter(entries);
    case Verb::kAllGather:
      return MoveAllGather(entries);
    case Verb::kAllToAllRows:
      return MoveAllToAll(entries);
    case Verb::kSplit:
    case Verb::kAllocateShared:
    case Verb::kExchangeWrites:
      EQ_CHECK(false) << Name(entries[0].verb) << " has no bytes to move";
  }
}

}  // namespace equipoise::comm
