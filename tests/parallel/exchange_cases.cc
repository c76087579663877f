#include "tests/parallel/exchange_cases.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "comm/link_model.h"
#include "comm/topology.h"
#include "core/base/check.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "parallel/expert_exchange.h"
#include "tests/parallel/routing_scenario.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise::testing_support {
namespace {

using parallel::ExchangePlan;
using parallel::ExpertExchange;
using parallel::PendingRows;
using parallel::TokenRange;
using Chunks = std::vector<TensorView>;

constexpr int64_t kHidden = 5;

absl::Status Wrong(const std::string& what) { return absl::InternalError(what); }

// With which "auto" chooses every algorithm in one scenario or another.
parallel::ExchangeCosts MadeUpCosts(DType dtype) {
  comm::LinkModel links;
  links[comm::LinkClass::kSelf] = {1e-7, 1e-9};
  links[comm::LinkClass::kNode] = {1e-6, 1e-8};
  links[comm::LinkClass::kRemote] = {1e-5, 1e-7};
  return {parallel::MakeLinkEstimate(links, {}), kHidden * static_cast<int64_t>(SizeOf(dtype))};
}

// One rank's side of one scenario, with its plans made. Whatever goes to or from this rank's
// experts is one tensor for each chunk.
class Side {
 public:
  static absl::StatusOr<std::unique_ptr<Side>> Create(comm::Communicator& world,
                                                      const ExchangeKind& exchange,
                                                      const RoutingScenario& scenario,
                                                      DType dtype) {
    std::unique_ptr<Side> side(new Side(world, scenario, dtype));
    EQ_ASSIGN_OR_RETURN(
        side->exchange_,
        parallel::MakeExpertExchange(exchange.name, world, side->context(), scenario.placement,
                                     {MadeUpCosts(dtype), exchange.chunks, exchange.inside_nodes}));
    if (side->exchange_->name() != exchange.name) return Wrong("it has another name");
    EQ_ASSIGN_OR_RETURN(const parallel::ExchangeCounts counts,
                        side->exchange_->Count(side->context(), side->table_, {}));
    EQ_ASSIGN_OR_RETURN(side->plans_, side->exchange_->Plan(side->context(), side->space(), counts,
                                                            side->table_, side->gates_, {}));
    return side;
  }

  comm::Communicator& world() { return world_; }
  const RoutingScenario& scenario() const { return scenario_; }
  const Context& context() const { return memory_.context(); }
  TestContext& memory() { return memory_; }
  DType dtype() const { return dtype_; }
  const std::vector<ExchangePlan>& plans() const { return plans_; }
  TensorView gates() const { return gates_; }
  int64_t num_tokens() const { return scenario_.num_tokens(world_.rank()); }
  const std::vector<int32_t>& ids() const {
    return scenario_.ids[static_cast<size_t>(world_.rank())];
  }
  TokenRange tokens_of(size_t chunk) const {
    return parallel::ChunkOfTokens(num_tokens(), static_cast<int>(chunk),
                                   static_cast<int>(plans_.size()));
  }
  // A key for random values that differ from rank to rank.
  uint64_t Key(const std::string& what) const {
    return StreamKey(static_cast<uint64_t>(world_.rank()), what + scenario_.name);
  }

  // Of every chunk, as ExpertExchange's, all chunks under way together; x, y, dy and dgates are
  // whole.
  absl::StatusOr<Chunks> Dispatch(ConstTensorView x,
                                  const ExpertExchange::InputTerm& term = nullptr) {
    return ForEachChunk([&](const ExchangePlan& plan, TokenRange range, size_t) {
      return exchange_->Dispatch(context(), space(), plan, x.Rows(range.begin, range.end), term);
    });
  }
  absl::Status DispatchBackward(const Chunks& drows, TensorView dx) {
    return ForEachChunk([&](const ExchangePlan& plan, TokenRange range, size_t chunk) {
             return exchange_->DispatchBackward(context(), plan, drows[chunk],
                                                dx.Rows(range.begin, range.end));
           })
        .status();
  }
  absl::StatusOr<Chunks> Combine(const Chunks& outputs, TensorView y) {
    return ForEachChunk([&](const ExchangePlan& plan, TokenRange range, size_t chunk) {
      return exchange_->Combine(context(), space(), plan, outputs[chunk],
                                y.Rows(range.begin, range.end));
    });
  }
  absl::StatusOr<Chunks> CombineBackward(const Chunks& kept, ConstTensorView dy,
                                         TensorView dgates) {
    return ForEachChunk([&](const ExchangePlan& plan, TokenRange range, size_t chunk) {
      return exchange_->CombineBackward(context(), plan, kept[chunk],
                                        dy.Rows(range.begin, range.end),
                                        dgates.Rows(range.begin, range.end));
    });
  }
  // Random rows for this rank's experts.
  Chunks NormalRows(const std::string& what) {
    Chunks rows;
    for (const ExchangePlan& plan : plans_) {
      rows.push_back(memory_.Normal(dtype_, {plan.num_rows, kHidden},
                                    Key(absl::StrCat(what, rows.size(), " "))));
    }
    return rows;
  }

 private:
  Side(comm::Communicator& world, const RoutingScenario& scenario, DType dtype)
      : world_(world), scenario_(scenario), dtype_(dtype), memory_(size_t{1} << 26) {
    const std::vector<double> values(ids().begin(), ids().end());
    table_ = memory_.Make(DType::kI32, {num_tokens(), scenario.top_k}, values);
    gates_ = memory_.Make(dtype, {num_tokens(), scenario.top_k}, GatesThatSumToOne());
  }
  // Positive gates that sum to one over the copies a token has; 0 for the dropped ones.
  std::vector<double> GatesThatSumToOne() const {
    const size_t top_k = static_cast<size_t>(scenario_.top_k);
    std::vector<double> gates(ids().size());
    const Philox random(Key("gates"));
    for (size_t first = 0; first < gates.size(); first += top_k) {
      double sum = 0.0;
      for (size_t i = first; i < first + top_k; ++i) {
        if (ids()[i] >= 0) sum += gates[i] = 0.1 + random.Uniform(i);
      }
      for (size_t i = first; i < first + top_k && sum > 0.0; ++i) gates[i] /= sum;
    }
    return gates;
  }
  Workspace& space() { return *context().activations; }
  using OfChunk =
      std::function<absl::StatusOr<PendingRows>(const ExchangePlan&, TokenRange, size_t)>;
  // Waits in an order that differs from rank to rank, and leaves one wait to Drain.
  absl::StatusOr<Chunks> ForEachChunk(const OfChunk& start) {
    std::vector<PendingRows> pending;
    for (size_t chunk = 0; chunk < plans_.size(); ++chunk) {
      EQ_ASSIGN_OR_RETURN(const PendingRows rows, start(plans_[chunk], tokens_of(chunk), chunk));
      pending.push_back(rows);
    }
    for (size_t i = 1; i < pending.size(); ++i) {
      const size_t chunk = (i + static_cast<size_t>(world_.rank())) % pending.size();
      EQ_RETURN_IF_ERROR(pending[chunk].Wait().status());
    }
    EQ_RETURN_IF_ERROR(exchange_->Drain());
    Chunks results;
    for (PendingRows& rows : pending) {
      if (!rows.Test()) return Wrong("drained, and not there");
      EQ_ASSIGN_OR_RETURN(const TensorView result, rows.Wait());
      results.push_back(result);
    }
    return results;
  }

  comm::Communicator& world_;
  const RoutingScenario& scenario_;
  const DType dtype_;
  TestContext memory_;
  TensorView table_;
  TensorView gates_;
  std::unique_ptr<ExpertExchange> exchange_;
  std::vector<ExchangePlan> plans_;
};

absl::Status ForEachScenario(comm::Communicator& world, const ExchangeKind& exchange, DType dtype,
                             const std::function<absl::Status(Side&)>& check) {
  for (const RoutingScenario& scenario : RoutingScenarios(world.size())) {
    EQ_ASSIGN_OR_RETURN(const std::unique_ptr<Side> side,
                        Side::Create(world, exchange, scenario, dtype));
    const absl::Status status = check(*side);
    if (!status.ok()) return Wrong(absl::StrCat(scenario.name, ": ", status.message()));
  }
  return absl::OkStatus();
}

// A token as its row spells it, and what is added to it on the way to its experts.
std::vector<double> NameOfToken(double rank, double token) {
  return {rank, token, 32 * rank + token, token - rank, 1.0};
}
constexpr double kTerm = 0.5;

// Rows [T, H] that say whose they are.
TensorView NamedTokens(Side& side) {
  std::vector<double> values;
  for (int64_t token = 0; token < side.num_tokens(); ++token) {
    for (const double value : NameOfToken(side.world().rank(), static_cast<double>(token))) {
      values.push_back(value);
    }
  }
  return side.memory().Make(side.dtype(), {side.num_tokens(), kHidden}, values);
}

// The rows of every copy of `expert` in a chunk, in the order in which its owner must see them.
std::vector<double> RowsOf(const RoutingScenario& scenario, int expert, size_t chunk,
                           size_t chunks) {
  std::vector<double> rows;
  const size_t top_k = static_cast<size_t>(scenario.top_k);
  for (size_t rank = 0; rank < scenario.ids.size(); ++rank) {
    const size_t tokens = scenario.ids[rank].size() / top_k;
    const size_t end = tokens * (chunk + 1) / chunks * top_k;
    for (size_t i = tokens * chunk / chunks * top_k; i < end; ++i) {
      if (scenario.ids[rank][i] != expert) continue;
      for (const double value :
           NameOfToken(static_cast<double>(rank), static_cast<double>(i / top_k))) {
        rows.push_back(value + kTerm);
      }
    }
  }
  return rows;
}

absl::Status ExpectNamedRows(Side& side, size_t chunk, ConstTensorView rows) {
  const std::vector<double> values = ToDoubles(rows);
  const auto offsets = side.plans()[chunk].offsets.cpu<int64_t>();
  size_t next = 0;
  size_t local = 0;
  for (const int expert : side.scenario().placement.experts_of(side.world().rank())) {
    const std::vector<double> expected =
        RowsOf(side.scenario(), expert, chunk, side.plans().size());
    const int64_t count = static_cast<int64_t>(expected.size()) / kHidden;
    if (offsets[local + 1] - offsets[local] != count) {
      return Wrong(absl::StrCat("expert ", expert, " got ", offsets[local + 1] - offsets[local],
                                " rows, not ", count));
    }
    for (const double value : expected) {
      if (next < values.size() && values[next++] == value) continue;
      return Wrong(
          absl::StrCat("element ", next, " of the rows of expert ", expert, " is not ", value));
    }
    ++local;
  }
  return next == values.size() ? absl::OkStatus() : Wrong("more rows than copies");
}

absl::Status EachRowArrivesAtItsExpert(comm::Communicator& world, const ExchangeKind& exchange) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    EQ_RETURN_IF_ERROR(ForEachScenario(world, exchange, dtype, [](Side& side) -> absl::Status {
      const TensorView x = NamedTokens(side);
      const auto add_term = [&](ConstTensorView tokens, TensorView rows) {
        std::vector<double> values = ToDoubles(rows);
        EQ_CHECK_EQ(tokens.dim(0), rows.dim(0));
        for (double& value : values) value += kTerm;
        SetDoubles(rows, values);
      };
      EQ_ASSIGN_OR_RETURN(const Chunks rows, side.Dispatch(x, add_term));
      for (size_t chunk = 0; chunk < rows.size(); ++chunk) {
        EQ_RETURN_IF_ERROR(ExpectNamedRows(side, chunk, rows[chunk]));
      }
      return absl::OkStatus();
    }));
  }
  return absl::OkStatus();
}

absl::Status TokensAreConserved(comm::Communicator& world, const ExchangeKind& exchange) {
  return ForEachScenario(world, exchange, DType::kF32, [](Side& side) -> absl::Status {
    double computed = 0.0;
    for (const ExchangePlan& plan : side.plans()) computed += static_cast<double>(plan.num_rows);
    const TensorView sum = side.memory().Make(DType::kF64, {1}, std::span(&computed, 1));
    EQ_RETURN_IF_ERROR(comm::AllReduce(side.world(), side.context(), sum));
    double load = 0.0;
    for (int e = 0; e < side.scenario().num_experts; ++e) {
      load += static_cast<double>(side.scenario().Load(e));
    }
    const double total = ToDoubles(sum)[0];
    return total == load ? absl::OkStatus()
                         : Wrong(absl::StrCat(total, " copies computed, not ", load));
  });
}

absl::Status ExpectIdentity(Side& side) {
  TestContext& memory = side.memory();
  const DType dtype = side.dtype();
  const Shape shape = {side.num_tokens(), kHidden};
  const TensorView x = memory.Normal(dtype, shape, side.Key("x"));
  const TensorView y = memory.Zeros(dtype, shape);
  EQ_ASSIGN_OR_RETURN(const Chunks rows, side.Dispatch(x));
  EQ_RETURN_IF_ERROR(side.Combine(rows, y).status());
  const std::vector<double> before = ToDoubles(x);
  const std::vector<double> after = ToDoubles(y);
  const size_t top_k = static_cast<size_t>(side.scenario().top_k);
  for (size_t i = 0; i < after.size(); ++i) {
    const auto own = side.ids().begin() + static_cast<std::ptrdiff_t>(i / kHidden * top_k);
    const auto kept = static_cast<int64_t>(top_k) - std::count(own, own + top_k, -1);
    // A gate of one changes nothing. Else each gate, each product and each sum is rounded once.
    const double allowed =
        kept <= 1 ? 0.0 : static_cast<double>(2 * kept) * Epsilon(dtype) * std::fabs(before[i]);
    const double expected = kept == 0 ? 0.0 : before[i];
    if (!(std::fabs(after[i] - expected) <= allowed)) {
      return Wrong(absl::StrCat(Name(dtype), " element ", i, " of a token with ", kept,
                                " copies came back as ", after[i], " instead of ", expected));
    }
  }
  return absl::OkStatus();
}

absl::Status CombineAfterDispatchGivesTheTokensBack(comm::Communicator& world,
                                                    const ExchangeKind& exchange) {
  EQ_RETURN_IF_ERROR(ForEachScenario(world, exchange, DType::kF32, ExpectIdentity));
  return ForEachScenario(world, exchange, DType::kF64, ExpectIdentity);
}

double Dot(ConstTensorView a, ConstTensorView b) {
  double sum = 0.0;
  for (int64_t i = 0; i < a.num_elements(); ++i) {
    sum += a.cpu<double>()[static_cast<size_t>(i)] * b.cpu<double>()[static_cast<size_t>(i)];
  }
  return sum;
}

double Dot(const Chunks& a, const Chunks& b) {
  double sum = 0.0;
  for (size_t chunk = 0; chunk < a.size(); ++chunk) sum += Dot(a[chunk], b[chunk]);
  return sum;
}

int64_t NumElements(const Chunks& chunks) {
  int64_t sum = 0;
  for (const TensorView& chunk : chunks) sum += chunk.num_elements();
  return sum;
}

// |sum over ranks of (left - right)| against the rounding of two sums of `terms` products.
absl::Status ExpectEqualSums(Side& side, const std::string& what, double left, double right,
                             int64_t terms) {
  const double values[] = {left, right, static_cast<double>(terms)};
  const TensorView sums = side.memory().Make(DType::kF64, {3}, values);
  EQ_RETURN_IF_ERROR(comm::AllReduce(side.world(), side.context(), sums));
  const std::vector<double> total = ToDoubles(sums);
  // Normal draws stay below 6; gates below 1.
  const double allowed = DotTolerance(DType::kF64, static_cast<int64_t>(total[2]), 6.0, 6.0);
  if (std::fabs(total[0] - total[1]) <= allowed) return absl::OkStatus();
  return Wrong(
      absl::StrCat(what, ": ", total[0], " and ", total[1], " differ by more than ", allowed));
}

absl::Status ExpectDispatchTransposed(Side& side) {
  TestContext& memory = side.memory();
  const int64_t tokens = side.num_tokens();
  const TensorView x = memory.Normal(DType::kF64, {tokens, kHidden}, side.Key("x"));
  const Chunks b = side.NormalRows("b");
  const TensorView dx = memory.Normal(DType::kF64, {tokens, kHidden}, 1);  // to be overwritten
  EQ_ASSIGN_OR_RETURN(const Chunks rows, side.Dispatch(x));
  EQ_RETURN_IF_ERROR(side.DispatchBackward(b, dx));
  return ExpectEqualSums(side, "<dispatch(x), b> = <x, backward(b)>", Dot(rows, b), Dot(x, dx),
                         NumElements(rows));
}

absl::Status ExpectCombineTransposed(Side& side) {
  TestContext& memory = side.memory();
  const int64_t tokens = side.num_tokens();
  const TensorView gates = side.gates();
  const Chunks rows = side.NormalRows("rows");
  const TensorView dy = memory.Normal(DType::kF64, {tokens, kHidden}, side.Key("dy"));
  const TensorView y = memory.Zeros(DType::kF64, {tokens, kHidden});
  const TensorView dgates = memory.Normal(DType::kF64, gates.shape(), 1);  // to be overwritten
  EQ_ASSIGN_OR_RETURN(const Chunks kept, side.Combine(rows, y));
  const WorkspaceFrame frame(*side.context().scratch);
  EQ_ASSIGN_OR_RETURN(const Chunks drows, side.CombineBackward(kept, dy, dgates));
  EQ_RETURN_IF_ERROR(ExpectEqualSums(side, "<combine(rows), dy> = <rows, backward(dy)>", Dot(y, dy),
                                     Dot(rows, drows), NumElements(rows)));
  // Combine is linear in its gates too.
  return ExpectEqualSums(side, "<combine(gates), dy> = <gates, dgates>", Dot(y, dy),
                         Dot(gates, dgates), NumElements(rows));
}

absl::Status BackwardIsTheTranspose(comm::Communicator& world, const ExchangeKind& exchange) {
  return ForEachScenario(world, exchange, DType::kF64, [](Side& side) -> absl::Status {
    EQ_RETURN_IF_ERROR(ExpectDispatchTransposed(side));
    return ExpectCombineTransposed(side);
  });
}

}  // namespace

std::vector<ExchangeCase> ExchangeCases() {
  return {{"EachRowArrivesAtItsExpert", EachRowArrivesAtItsExpert},
          {"TokensAreConserved", TokensAreConserved},
          {"CombineAfterDispatchGivesTheTokensBack", CombineAfterDispatchGivesTheTokensBack},
          {"BackwardIsTheTranspose", BackwardIsTheTranspose}};
}

}  // namespace equipoise::testing_support
