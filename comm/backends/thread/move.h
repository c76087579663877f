#ifndef EQUIPOISE_COMM_BACKENDS_THREAD_MOVE_H_
#define EQUIPOISE_COMM_BACKENDS_THREAD_MOVE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "comm/communicator.h"
#include "comm/verb.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::comm {

// See group.h.
struct SplitRequest;
struct MemoryRequest;

// One rank's arguments to one collective. Verbs with one tensor use `receive`.
struct Entry {
  Verb verb = Verb::kBarrier;
  ConstTensorView send = {};
  TensorView receive = {};
  std::vector<int64_t> send_rows = {};
  std::vector<int64_t> receive_rows = {};
  int root = 0;
  ReduceOp op = ReduceOp::kSum;
  SplitRequest* split = nullptr;
  MemoryRequest* memory = nullptr;
};

// "AllReduce F32 [3, 4]".
std::string Describe(const Entry& entry);

// InvalidArgument naming two ranks when `entries` (one per rank, in rank order) are not one
// collective: another verb, size, type, root or operation. Row counts must match pairwise.
absl::Status CheckCompatible(std::span<const Entry> entries);

// Moves the bytes of one collective between all ranks' tensors, on the calling thread. Sums run in
// rank order, block by block, so that memory is touched once and nothing is allocated.
// REQUIRES: CheckCompatible(entries) is OK, the verb moves bytes (a split does not), no tensor is
// in use elsewhere.
void Move(std::span<const Entry> entries);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_THREAD_MOVE_H_
