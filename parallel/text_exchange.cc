#include "parallel/text_exchange.h"

#include <algorithm>
#include <cstdint>
#include <span>

#include "comm/collectives.h"
#include "comm/host_mirror.h"
#include "core/base/status_macros.h"
#include "core/tensor/tensor.h"

namespace equipoise::parallel {
namespace {

// The lengths of all ranks' texts.
absl::StatusOr<std::vector<int64_t>> GatherLengths(comm::Communicator& group,
                                                   const Context& context, int64_t length,
                                                   const comm::WaitOptions& wait) {
  EQ_ASSIGN_OR_RETURN(Tensor lengths, Tensor::Create(*context.device, DType::kI64, {group.size()}));
  const TensorView own = lengths.view().Rows(group.rank(), group.rank() + 1);
  comm::MirrorToDevice<int64_t>(context, std::span<const int64_t>(&length, 1), own);
  EQ_RETURN_IF_ERROR(comm::AllGather(group, context, own, lengths.view(), wait));
  return comm::HostMirror<int64_t>(context, lengths.view());
}

}  // namespace

absl::StatusOr<std::vector<std::string>> GatherTexts(comm::Communicator& group,
                                                     const Context& context,
                                                     const std::string& text,
                                                     const comm::WaitOptions& wait) {
  EQ_ASSIGN_OR_RETURN(const std::vector<int64_t> lengths,
                      GatherLengths(group, context, static_cast<int64_t>(text.size()), wait));
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  const auto stride = static_cast<size_t>(longest);
  EQ_ASSIGN_OR_RETURN(Tensor all,
                      Tensor::Create(*context.device, DType::kU8, {group.size() * longest}));
  const TensorView own = all.view().Rows(group.rank() * longest, (group.rank() + 1) * longest);
  context.device->CopyFromHost(own.raw(), text.data(), text.size());
  EQ_RETURN_IF_ERROR(comm::AllGather(group, context, own, all.view(), wait));
  const std::vector<uint8_t> bytes = comm::HostMirror<uint8_t>(context, all.view());
  std::vector<std::string> texts;
  for (size_t rank = 0; rank < lengths.size(); ++rank) {
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(rank * stride);
    texts.emplace_back(begin, begin + lengths[rank]);
  }
  return texts;
}

absl::StatusOr<std::string> BroadcastText(comm::Communicator& group, const Context& context,
                                          const std::string& text, int root,
                                          const comm::WaitOptions& wait) {
  EQ_ASSIGN_OR_RETURN(
      const std::vector<std::string> texts,
      GatherTexts(group, context, group.rank() == root ? text : std::string(), wait));
  return texts[static_cast<size_t>(root)];
}

}  // namespace equipoise::parallel
