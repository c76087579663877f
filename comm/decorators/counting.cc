#include "comm/decorators/counting.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "comm/decorators/decorator.h"
#include "comm/host_mirror.h"
#include "core/base/status_macros.h"
#include "core/tensor/tensor.h"

namespace equipoise::comm {
namespace {

class Counting final : public Decorator {
 public:
  Counting(Communicator& world, const Context& context, ByteCounts& counts,
           std::vector<int> world_ranks)
      : Decorator(world),
        context_(context),
        counts_(counts),
        world_ranks_(std::move(world_ranks)) {}
  Counting(std::unique_ptr<Communicator> group, const Context& context, ByteCounts& counts,
           std::vector<int> world_ranks)
      : Decorator(std::move(group)),
        context_(context),
        counts_(counts),
        world_ranks_(std::move(world_ranks)) {}

 private:
  absl::StatusOr<Work> Run(const Context& context, const Call& call) override {
    for (int peer = 0; peer < size(); ++peer) {
      counts_.Add(world_ranks_[static_cast<size_t>(peer)], BytesTo(call, peer));
    }
    return Forward(context, call);
  }

  // Bytes of block `peer` when `bytes` are cut into size() blocks of whole elements.
  int64_t BlockBytes(ConstTensorView tensor, int peer) const {
    const int64_t elements = tensor.num_elements();
    const int64_t count = elements / size() + (peer < elements % size() ? 1 : 0);
    return count * static_cast<int64_t>(SizeOf(tensor.dtype()));
  }

  int64_t BytesTo(const Call& call, int peer) const {
    switch (call.verb) {
      case Verb::kBarrier:
      case Verb::kSplit:
      case Verb::kAllocateShared:
        return 0;
      case Verb::kExchangeWrites:
        return call.writes->bytes_to.empty() ? 0 : call.writes->bytes_to[static_cast<size_t>(peer)];
      case Verb::kBroadcast:
        return call.root == rank() ? static_cast<int64_t>(call.receive.num_bytes()) : 0;
      case Verb::kAllReduce:
        return BlockBytes(call.receive, peer) + BlockBytes(call.receive, rank());
      case Verb::kReduceScatter:
        return static_cast<int64_t>(call.receive.num_bytes());
      case Verb::kAllGather:
        return static_cast<int64_t>(call.send.num_bytes());
      case Verb::kAllToAllRows:
        return call.send_rows[static_cast<size_t>(peer)] * call.send.shape().row_elements() *
               static_cast<int64_t>(SizeOf(call.send.dtype()));
    }
    return 0;
  }

  absl::StatusOr<std::unique_ptr<Communicator>> Wrap(std::unique_ptr<Communicator> group) override {
    EQ_ASSIGN_OR_RETURN(Tensor mine, Tensor::Create(*context_.device, DType::kI32, {1}));
    EQ_ASSIGN_OR_RETURN(Tensor all, Tensor::Create(*context_.device, DType::kI32, {group->size()}));
    const std::vector<int32_t> own = {counts_.world_rank()};
    MirrorToDevice<int32_t>(context_, own, mine.view());
    EQ_RETURN_IF_ERROR(comm::AllGather(*group, context_, mine.view(), all.view(),
                                       {.name = "finding a group's world ranks"}));
    return std::make_unique<Counting>(std::move(group), context_, counts_,
                                      HostMirror<int32_t>(context_, all.view()));
  }

  const Context context_;
  ByteCounts& counts_;
  const std::vector<int> world_ranks_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Communicator>> MakeCounting(Communicator& world,
                                                           const Context& context,
                                                           ByteCounts& counts) {
  if (world.size() != counts.topology().num_ranks() || world.rank() != counts.world_rank()) {
    return absl::InvalidArgumentError(
        absl::StrCat("counting bytes of rank ", world.rank(), " of ", world.size(), " on '",
                     world.name(), "' with a topology of ", counts.topology().num_ranks(),
                     " ranks, as rank ", counts.world_rank()));
  }
  std::vector<int> world_ranks(static_cast<size_t>(world.size()));
  std::iota(world_ranks.begin(), world_ranks.end(), 0);
  return std::make_unique<Counting>(world, context, counts, std::move(world_ranks));
}

}  // namespace equipoise::comm
