#include "tests/parallel/exchange_cases.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "comm/exchange/row_exchange.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "core/ops/permute.h"
#include "parallel/expert_exchange.h"
#include "tests/parallel/routing_scenario.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise::testing_support {
namespace {

using parallel::ExchangePlan;
using parallel::ExpertExchange;

constexpr int64_t kHidden = 5;

absl::Status Wrong(const std::string& what) { return absl::InternalError(what); }

// One rank's side of one scenario, with its plan made.
class Side {
 public:
  static absl::StatusOr<std::unique_ptr<Side>> Create(comm::Communicator& world,
                                                      const RoutingScenario& scenario) {
    std::unique_ptr<Side> side(new Side(world, scenario));
    EQ_ASSIGN_OR_RETURN(side->plan_,
                        side->exchange_.Plan(side->context(), side->space(), side->dispatch_));
    return side;
  }

  comm::Communicator& world() { return world_; }
  const RoutingScenario& scenario() const { return scenario_; }
  const Context& context() const { return memory_.context(); }
  TestContext& memory() { return memory_; }
  const routing::DispatchPlan& dispatch() const { return dispatch_; }
  const ExchangePlan& plan() const { return plan_; }
  int64_t num_tokens() const { return scenario_.num_tokens(world_.rank()); }
  const std::vector<int32_t>& ids() const {
    return scenario_.ids[static_cast<size_t>(world_.rank())];
  }
  // A key for random values that differ from rank to rank.
  uint64_t Key(const std::string& what) const {
    return StreamKey(static_cast<uint64_t>(world_.rank()), what + scenario_.name);
  }

  absl::StatusOr<TensorView> ToExperts(TensorView copies) {
    return exchange_.ToExperts(context(), space(), plan_, copies);
  }
  absl::StatusOr<TensorView> ToHome(TensorView rows) {
    return exchange_.ToHome(context(), space(), plan_, rows);
  }
  // The forward pass of dispatch: tokens [T, H] -> rows [num_received, H].
  absl::StatusOr<TensorView> Dispatch(ConstTensorView x) {
    const TensorView copies = memory_.Zeros(x.dtype(), {dispatch_.num_copies, kHidden});
    GatherRows(context(), x, dispatch_.source_rows, copies);
    return ToExperts(copies);
  }

 private:
  Side(comm::Communicator& world, const RoutingScenario& scenario)
      : world_(world),
        scenario_(scenario),
        memory_(size_t{1} << 26),
        exchange_(world, scenario.placement, comm::MakeFlatRowExchange(world)) {
    const std::vector<double> values(ids().begin(), ids().end());
    const TensorView table = memory_.Make(DType::kI32, {num_tokens(), scenario.top_k}, values);
    dispatch_ = routing::MakeDispatchPlan(context(), table, scenario.placement);
  }
  Workspace& space() { return *context().activations; }

  comm::Communicator& world_;
  const RoutingScenario& scenario_;
  TestContext memory_;
  ExpertExchange exchange_;
  routing::DispatchPlan dispatch_;
  ExchangePlan plan_;
};

absl::Status ForEachScenario(comm::Communicator& world,
                             const std::function<absl::Status(Side&)>& check) {
  for (const RoutingScenario& scenario : RoutingScenarios(world.size())) {
    EQ_ASSIGN_OR_RETURN(const std::unique_ptr<Side> side, Side::Create(world, scenario));
    const absl::Status status = check(*side);
    if (!status.ok()) return Wrong(absl::StrCat(scenario.name, ": ", status.message()));
  }
  return absl::OkStatus();
}

// A copy as its row spells it.
struct CopyName {
  double rank, token, k, expert;
  std::vector<double> Row() const {
    return {rank, token, k, expert, ((rank * 32 + token) * 8 + k) * 16 + expert};
  }
};

// The copy that is entry `i` of the ids [T, K] of a rank.
CopyName NameOfCopy(size_t rank, size_t i, int top_k, int expert) {
  const size_t per_token = static_cast<size_t>(top_k);
  const size_t token = i / per_token;
  return {static_cast<double>(rank), static_cast<double>(token), static_cast<double>(i % per_token),
          static_cast<double>(expert)};
}

// Every copy of `expert`, in the order in which its owner must see them.
std::vector<CopyName> CopiesOf(const RoutingScenario& scenario, int expert) {
  std::vector<CopyName> copies;
  for (size_t rank = 0; rank < scenario.ids.size(); ++rank) {
    for (size_t i = 0; i < scenario.ids[rank].size(); ++i) {
      if (scenario.ids[rank][i] != expert) continue;
      copies.push_back(NameOfCopy(rank, i, scenario.top_k, expert));
    }
  }
  return copies;
}

// Rows [C, H] that say whose they are, in the order of the dispatch plan.
TensorView NamedCopies(Side& side, DType dtype) {
  std::vector<double> values(static_cast<size_t>(side.dispatch().num_copies * kHidden));
  const auto slots = side.dispatch().slots.cpu<int64_t>();
  const size_t rank = static_cast<size_t>(side.world().rank());
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] < 0) continue;
    const CopyName name = NameOfCopy(rank, i, side.scenario().top_k, side.ids()[i]);
    const std::vector<double> row = name.Row();
    std::copy(row.begin(), row.end(), values.begin() + slots[i] * kHidden);
  }
  return side.memory().Make(dtype, {side.dispatch().num_copies, kHidden}, values);
}

absl::Status ExpectNamedRows(Side& side, ConstTensorView rows) {
  const RoutingScenario& scenario = side.scenario();
  const std::vector<double> values = ToDoubles(rows);
  const auto offsets = side.plan().offsets.cpu<int64_t>();
  size_t next = 0;
  size_t local = 0;
  for (const int expert : scenario.placement.experts_of(side.world().rank())) {
    const std::vector<CopyName> expected = CopiesOf(scenario, expert);
    if (offsets[local + 1] - offsets[local] != static_cast<int64_t>(expected.size())) {
      return Wrong(absl::StrCat("expert ", expert, " got ", offsets[local + 1] - offsets[local],
                                " rows, not ", expected.size()));
    }
    for (const CopyName& name : expected) {
      for (const double value : name.Row()) {
        if (next < values.size() && values[next++] == value) continue;
        return Wrong(
            absl::StrCat("element ", next, " of the rows of expert ", expert, " is not ", value));
      }
    }
    ++local;
  }
  return next == values.size() ? absl::OkStatus() : Wrong("more rows than copies");
}

absl::Status EachRowArrivesAtItsExpert(comm::Communicator& world) {
  return ForEachScenario(world, [](Side& side) -> absl::Status {
    for (const DType dtype : {DType::kF32, DType::kF64}) {
      const TensorView copies = NamedCopies(side, dtype);
      EQ_ASSIGN_OR_RETURN(const TensorView rows, side.ToExperts(copies));
      EQ_RETURN_IF_ERROR(ExpectNamedRows(side, rows));
      EQ_ASSIGN_OR_RETURN(const TensorView home, side.ToHome(rows));
      if (!SameBits(ToDoubles(home), ToDoubles(copies))) return Wrong("rows changed on the way");
    }
    return absl::OkStatus();
  });
}

absl::Status TokensAreConserved(comm::Communicator& world) {
  return ForEachScenario(world, [](Side& side) -> absl::Status {
    const auto& ids = side.ids();
    const auto dropped = std::count(ids.begin(), ids.end(), -1);
    if (side.dispatch().num_copies != static_cast<int64_t>(ids.size()) - dropped) {
      return Wrong("copies and dropped copies are not T * K");
    }
    const double counts[] = {static_cast<double>(side.dispatch().num_copies),
                             static_cast<double>(side.plan().num_received)};
    const TensorView sums = side.memory().Make(DType::kF64, {2}, counts);
    EQ_RETURN_IF_ERROR(comm::AllReduce(side.world(), side.context(), sums));
    double load = 0.0;
    for (int e = 0; e < side.scenario().num_experts; ++e) {
      load += static_cast<double>(side.scenario().Load(e));
    }
    const std::vector<double> totals = ToDoubles(sums);
    if (totals[0] != load || totals[1] != load) {
      return Wrong(absl::StrCat(totals[0], " copies sent, ", totals[1], " received, not ", load));
    }
    return absl::OkStatus();
  });
}

// Positive gates that sum to one over the copies a token has; 0 for the dropped ones.
TensorView GatesThatSumToOne(Side& side, DType dtype) {
  const size_t top_k = static_cast<size_t>(side.scenario().top_k);
  std::vector<double> gates(side.ids().size());
  const Philox random(side.Key("gates"));
  for (size_t first = 0; first < gates.size(); first += top_k) {
    double sum = 0.0;
    for (size_t i = first; i < first + top_k; ++i) {
      if (side.ids()[i] >= 0) sum += gates[i] = 0.1 + random.Uniform(i);
    }
    for (size_t i = first; i < first + top_k && sum > 0.0; ++i) gates[i] /= sum;
  }
  return side.memory().Make(dtype, {side.num_tokens(), side.scenario().top_k}, gates);
}

absl::Status ExpectIdentity(Side& side, DType dtype) {
  TestContext& memory = side.memory();
  const Shape shape = {side.num_tokens(), kHidden};
  const TensorView x = memory.Normal(dtype, shape, side.Key("x"));
  const TensorView y = memory.Normal(dtype, shape, 1);
  EQ_ASSIGN_OR_RETURN(const TensorView rows, side.Dispatch(x));
  EQ_ASSIGN_OR_RETURN(const TensorView home, side.ToHome(rows));
  WeightedCombine(side.context(), home, side.dispatch().slots, GatesThatSumToOne(side, dtype),
                  /*accumulate=*/false, y);
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

absl::Status CombineAfterDispatchGivesTheTokensBack(comm::Communicator& world) {
  return ForEachScenario(world, [](Side& side) -> absl::Status {
    EQ_RETURN_IF_ERROR(ExpectIdentity(side, DType::kF32));
    return ExpectIdentity(side, DType::kF64);
  });
}

double Dot(ConstTensorView a, ConstTensorView b) {
  double sum = 0.0;
  for (int64_t i = 0; i < a.num_elements(); ++i) {
    sum += a.cpu<double>()[static_cast<size_t>(i)] * b.cpu<double>()[static_cast<size_t>(i)];
  }
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
  const TensorView b =
      memory.Normal(DType::kF64, {side.plan().num_received, kHidden}, side.Key("b"));
  const TensorView dx = memory.Zeros(DType::kF64, {tokens, kHidden});
  EQ_ASSIGN_OR_RETURN(const TensorView rows, side.Dispatch(x));
  EQ_ASSIGN_OR_RETURN(const TensorView home, side.ToHome(b));
  GatherRowsBackward(side.context(), home, side.dispatch().slots, /*accumulate=*/false, dx);
  return ExpectEqualSums(side, "<dispatch(x), b> = <x, backward(b)>", Dot(rows, b), Dot(x, dx),
                         rows.num_elements());
}

absl::Status ExpectCombineTransposed(Side& side) {
  TestContext& memory = side.memory();
  const int64_t tokens = side.num_tokens();
  const TensorView gates = GatesThatSumToOne(side, DType::kF64);
  const TensorView rows =
      memory.Normal(DType::kF64, {side.plan().num_received, kHidden}, side.Key("rows"));
  const TensorView dy = memory.Normal(DType::kF64, {tokens, kHidden}, side.Key("dy"));
  const TensorView y = memory.Zeros(DType::kF64, {tokens, kHidden});
  EQ_ASSIGN_OR_RETURN(const TensorView home, side.ToHome(rows));
  WeightedCombine(side.context(), home, side.dispatch().slots, gates, /*accumulate=*/false, y);
  const TensorView dhome = memory.Zeros(DType::kF64, home.shape());
  const TensorView dgates = memory.Zeros(DType::kF64, gates.shape());
  WeightedCombineBackward(side.context(), home, side.dispatch().slots, gates, dy, dhome, dgates);
  EQ_ASSIGN_OR_RETURN(const TensorView drows, side.ToExperts(dhome));
  EQ_RETURN_IF_ERROR(ExpectEqualSums(side, "<combine(rows), dy> = <rows, backward(dy)>", Dot(y, dy),
                                     Dot(rows, drows), rows.num_elements()));
  // Combine is linear in its gates too.
  return ExpectEqualSums(side, "<combine(gates), dy> = <gates, dgates>", Dot(y, dy),
                         Dot(gates, dgates), rows.num_elements());
}

absl::Status BackwardIsTheTranspose(comm::Communicator& world) {
  return ForEachScenario(world, [](Side& side) -> absl::Status {
    TestContext& memory = side.memory();
    const TensorView a =
        memory.Normal(DType::kF64, {side.dispatch().num_copies, kHidden}, side.Key("a"));
    const TensorView b =
        memory.Normal(DType::kF64, {side.plan().num_received, kHidden}, side.Key("b"));
    EQ_ASSIGN_OR_RETURN(const TensorView there, side.ToExperts(a));
    EQ_ASSIGN_OR_RETURN(const TensorView back, side.ToHome(b));
    EQ_RETURN_IF_ERROR(ExpectEqualSums(side, "<to experts(a), b> = <a, to home(b)>", Dot(there, b),
                                       Dot(a, back), there.num_elements()));
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
