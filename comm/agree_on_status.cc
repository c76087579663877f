#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "comm/host_mirror.h"
#include "core/base/status_macros.h"
#include "core/tensor/tensor.h"

namespace equipoise::comm {
namespace {

// What ranks exchange before the message itself, which only a failure needs.
struct Verdict {
  int64_t code;
  int64_t message_bytes;
};

constexpr int64_t kVerdictWords = 2;

// Every rank's verdict, in rank order.
absl::StatusOr<std::vector<int64_t>> GatherVerdicts(Communicator& group, const Context& context,
                                                    const Verdict& mine, const WaitOptions& wait) {
  EQ_ASSIGN_OR_RETURN(Tensor send, Tensor::Create(*context.device, DType::kI64, {kVerdictWords}));
  EQ_ASSIGN_OR_RETURN(Tensor all,
                      Tensor::Create(*context.device, DType::kI64, {group.size() * kVerdictWords}));
  const std::vector<int64_t> words = {mine.code, mine.message_bytes};
  MirrorToDevice<int64_t>(context, words, send.view());
  EQ_RETURN_IF_ERROR(AllGather(group, context, send.view(), all.view(), wait));
  return HostMirror<int64_t>(context, all.view());
}

// `text` of rank `root`, which has `bytes` bytes, on every rank.
absl::StatusOr<std::string> BroadcastText(Communicator& group, const Context& context,
                                          absl::string_view text, int64_t bytes, int root) {
  std::vector<uint8_t> host(static_cast<size_t>(bytes));
  if (group.rank() == root) host.assign(text.begin(), text.end());
  EQ_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Create(*context.device, DType::kU8, {bytes}));
  MirrorToDevice<uint8_t>(context, host, tensor.view());
  EQ_RETURN_IF_ERROR(
      Broadcast(group, context, tensor.view(), root, {.name = "sharing an error message"}));
  host = HostMirror<uint8_t>(context, tensor.view());
  return std::string(host.begin(), host.end());
}

}  // namespace

absl::Status AgreeOnStatus(Communicator& group, const Context& context, const absl::Status& mine,
                           const WaitOptions& wait) {
  const Verdict verdict = {static_cast<int64_t>(mine.code()),
                           static_cast<int64_t>(mine.message().size())};
  EQ_ASSIGN_OR_RETURN(const std::vector<int64_t> all,
                      GatherVerdicts(group, context, verdict, wait));
  int failed = 0;
  while (failed < group.size() && all[static_cast<size_t>(failed * kVerdictWords)] == 0) ++failed;
  if (failed == group.size()) return absl::OkStatus();

  const int64_t* theirs = &all[static_cast<size_t>(failed * kVerdictWords)];
  EQ_ASSIGN_OR_RETURN(const std::string message,
                      BroadcastText(group, context, mine.message(), theirs[1], failed));
  return absl::Status(static_cast<absl::StatusCode>(theirs[0]),
                      absl::StrCat("rank ", failed, ": ", message));
}

}  // namespace equipoise::comm
