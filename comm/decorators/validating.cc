#include "comm/decorators/validating.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "comm/decorators/decorator.h"
#include "comm/host_mirror.h"
#include "core/base/status_macros.h"
#include "core/tensor/tensor.h"

namespace equipoise::comm {
namespace {

// What must be equal on all ranks: verb, element type, size, root, operation.
constexpr int64_t kSignatureWords = 5;
using Signature = std::array<int64_t, kSignatureWords>;

bool HasTensors(Verb verb) {
  return verb != Verb::kBarrier && verb != Verb::kSplit && verb != Verb::kExchangeWrites;
}

// All-to-all may send another number of rows everywhere, but rows of one size.
int64_t ComparedElements(const Call& call) {
  if (!HasTensors(call.verb)) return 0;
  if (call.verb == Verb::kAllToAllRows) return call.send.shape().row_elements();
  return call.receive.num_elements();
}

Signature SignatureOf(const Call& call) {
  return {static_cast<int64_t>(call.verb), static_cast<int64_t>(call.receive.dtype()),
          ComparedElements(call), call.root, static_cast<int64_t>(call.op)};
}

std::string Describe(const int64_t* signature) {
  const Verb verb = static_cast<Verb>(signature[0]);
  std::string text = Name(verb);
  if (!HasTensors(verb)) return text;
  absl::StrAppend(&text, " of ", signature[2], " ", Name(static_cast<DType>(signature[1])),
                  verb == Verb::kAllToAllRows ? " a row" : "");
  if (verb == Verb::kBroadcast) absl::StrAppend(&text, " from root ", signature[3]);
  if (verb == Verb::kAllReduce) {
    constexpr std::array<const char*, 3> kOperations = {"sum", "max", "min"};
    absl::StrAppend(&text, " by ", kOperations[static_cast<size_t>(signature[4])]);
  }
  return text;
}

class Validating final : public Decorator {
 public:
  Validating(Communicator& inner, const Context& context) : Decorator(inner), context_(context) {}
  Validating(std::unique_ptr<Communicator> inner, const Context& context)
      : Decorator(std::move(inner)), context_(context) {}

 private:
  absl::StatusOr<Work> Run(const Context& context, const Call& call) override {
    // Writes come without a context.
    EQ_RETURN_IF_ERROR(CheckSignatures(HasTensors(call.verb) ? context : context_, call));
    if (call.verb == Verb::kAllToAllRows) EQ_RETURN_IF_ERROR(CheckRows(context, call));
    return Forward(context, call);
  }

  absl::Status BeforeSplit() override { return CheckSignatures(context_, {.verb = Verb::kSplit}); }

  absl::StatusOr<std::unique_ptr<Communicator>> Wrap(std::unique_ptr<Communicator> group) override {
    return MakeValidating(std::move(group), context_);
  }

  absl::Status CheckSignatures(const Context& context, const Call& call) {
    const Signature mine = SignatureOf(call);
    EQ_ASSIGN_OR_RETURN(Tensor send,
                        Tensor::Create(*context.device, DType::kI64, {kSignatureWords}));
    EQ_ASSIGN_OR_RETURN(Tensor receive,
                        Tensor::Create(*context.device, DType::kI64, {size() * kSignatureWords}));
    MirrorToDevice<int64_t>(context, mine, send.view());
    const std::string what = absl::StrCat("checking ", Name(call.verb));
    EQ_RETURN_IF_ERROR(
        comm::AllGather(inner(), context, send.view(), receive.view(), {.name = what.c_str()}));
    const std::vector<int64_t> all = HostMirror<int64_t>(context, receive.view());
    for (int peer = 1; peer < size(); ++peer) {
      const int64_t* theirs = &all[static_cast<size_t>(peer * kSignatureWords)];
      if (std::equal(theirs, theirs + kSignatureWords, all.data())) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("ranks of '", name(), "' called different collectives: rank 0 ",
                       Describe(all.data()), ", rank ", peer, " ", Describe(theirs)));
    }
    return absl::OkStatus();
  }

  // Tells every peer what it will be sent, and compares with what it expects.
  absl::Status CheckRows(const Context& context, const Call& call) {
    EQ_ASSIGN_OR_RETURN(Tensor told, Tensor::Create(*context.device, DType::kI64, {size()}));
    EQ_ASSIGN_OR_RETURN(Tensor heard, Tensor::Create(*context.device, DType::kI64, {size()}));
    MirrorToDevice<int64_t>(context, call.send_rows, told.view());
    const std::vector<int64_t> ones(static_cast<size_t>(size()), 1);
    EQ_RETURN_IF_ERROR(comm::AllToAllRows(inner(), context, told.view(), ones, heard.view(), ones,
                                          {.name = "checking row counts"}));
    const std::vector<int64_t> sent = HostMirror<int64_t>(context, heard.view());
    absl::Status mine;
    for (size_t peer = 0; peer < sent.size() && mine.ok(); ++peer) {
      if (sent[peer] == call.receive_rows[peer]) continue;
      mine = absl::InvalidArgumentError(
          absl::StrCat("AllToAllRows on '", name(), "': rank ", peer, " sends ", sent[peer],
                       " rows to rank ", rank(), ", which expects ", call.receive_rows[peer]));
    }
    return AgreeOnStatus(inner(), context, mine);
  }

  const Context context_;
};

}  // namespace

std::unique_ptr<Communicator> MakeValidating(Communicator& inner, const Context& context) {
  return std::make_unique<Validating>(inner, context);
}

std::unique_ptr<Communicator> MakeValidating(std::unique_ptr<Communicator> inner,
                                             const Context& context) {
  return std::make_unique<Validating>(std::move(inner), context);
}

}  // namespace equipoise::comm
