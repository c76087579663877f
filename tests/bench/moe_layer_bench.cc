// One MoE layer, forward and backward: router, dispatch, experts, combine and all gradients, those
// of the weights too; no optimizer. Random weights, tokens drawn from N(0, 1), natural routing.
// Every round measures the ceilings and then the layer, see ceilings.h.
//
//   moe_layer_bench --shape=B --ranks=2 --rounds=20
//   mpirun -np 2 moe_layer_bench --world=mpi --shape=B

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "core/ops/elementwise.h"
#include "core/telemetry/timers.h"
#include "parallel/expert_exchange.h"
#include "parallel/moe_layer.h"
#include "parallel/router_statistics.h"
#include "routing/placement.h"
#include "tests/bench/ceilings.h"
#include "tests/bench/report.h"
#include "tests/bench/world.h"

ABSL_FLAG(std::string, shape, "B", "A, B, cluster or tiny");
ABSL_FLAG(std::string, exchange, "flat", "as layout.exchange");
ABSL_FLAG(bool, messages, false, "send rows inside nodes as messages, not through shared memory");
ABSL_FLAG(int, chunks, 1, "as layout.exchange_chunks");
ABSL_FLAG(int64_t, shared, 0, "width of a shared expert; 0: none");
ABSL_FLAG(int, rounds, 15, "timed rounds");
ABSL_FLAG(int, warm_ups, 3, "steps before them");

namespace equipoise::bench {
namespace {

// Tokens are those of one rank.
struct LayerShape {
  int64_t tokens, hidden, width;
  int experts, top_k;

  int64_t copies() const { return tokens * top_k; }
  // Two thirds in the gate and up projections, one in the down projection; twice that for the
  // backward pass.
  double flops() const { return 18.0 * static_cast<double>(copies() * hidden * width); }
  std::string ToString() const {
    return absl::StrCat("T ", tokens, " a rank, H ", hidden, ", F ", width, ", E ", experts, ", K ",
                        top_k);
  }
};

absl::StatusOr<LayerShape> ShapeNamed(const std::string& name) {
  if (name == "A") return LayerShape{1024, 256, 512, 8, 2};
  if (name == "B") return LayerShape{2048, 512, 256, 32, 4};
  if (name == "cluster") return LayerShape{1024, 256, 1024, 16, 2};
  if (name == "tiny") return LayerShape{24, 16, 12, 4, 2};
  return absl::InvalidArgumentError(absl::StrCat("--shape=", name, ": A, B, cluster or tiny"));
}

parallel::ModelOptions ModelOf(const LayerShape& shape) {
  parallel::ModelOptions model;
  model.hidden = shape.hidden;
  model.num_layers = 1;
  model.moe.expert_width = shape.width;
  model.moe.shared_expert_width = absl::GetFlag(FLAGS_shared);
  model.moe.router.num_experts = shape.experts;
  model.moe.router.top_k = shape.top_k;
  model.moe.router.settings.Set("score", std::string("SOFTMAX"));
  model.moe.router.settings.Set("selection", std::string("SCORE_ALL"));
  model.moe.router.settings.Set("renormalise", true);
  model.moe.router.settings.Set("scaling_factor", 1.0);
  model.moe.router.balance_loss.coefficient = 0.01;
  return model;
}

void FillNormal(uint64_t seed, TensorView x) {
  const Philox random(seed);
  uint64_t counter = 0;
  for (float& value : x.cpu<float>()) value = static_cast<float>(random.Normal(counter++));
}

// The layer of one rank and its tensors.
class LayerUnderTest {
 public:
  static absl::StatusOr<std::unique_ptr<LayerUnderTest>> Create(comm::Communicator& world,
                                                                RankMemory& memory,
                                                                const LayerShape& shape) {
    std::unique_ptr<LayerUnderTest> layer(new LayerUnderTest(world, memory, shape));
    EQ_RETURN_IF_ERROR(layer->CreateLayer(world));
    EQ_RETURN_IF_ERROR(layer->CreateTensors(world.rank()));
    return layer;
  }

  // What is not timed: a fresh gradient to start from, and the sums of the step before.
  absl::Status Prepare() {
    EQ_RETURN_IF_ERROR(statistics_->EndStep(memory_.context()));
    Copy(memory_.context(), upstream_.view(), dh_.view());
    return absl::OkStatus();
  }

  absl::Status Step() {
    const parallel::StepContext context = {memory_.context(), &timers_, statistics_.get(), nullptr};
    timers_.StartStep();
    const WorkspaceFrame activations(*context.device.activations);
    statistics_->BeginStep(context.device, batch_tokens_);
    statistics_->BeginMicroBatch(batch_tokens_);
    EQ_ASSIGN_OR_RETURN(const auto saved,
                        layer_->Forward(context, batch_, h_.view(), h_out_.view()));
    EQ_RETURN_IF_ERROR(layer_->Backward(context, batch_, saved, *statistics_, dh_.view()));
    phases_ = timers_.FinishStep();
    times_ = layer_->TakeTransferTimes();
    return absl::OkStatus();
  }

  const PhaseSeconds& phases() const { return phases_; }
  // Of the last step.
  const comm::TransferTimes& times() const { return times_; }

 private:
  LayerUnderTest(comm::Communicator& world, RankMemory& memory, const LayerShape& shape)
      : memory_(memory), shape_(shape), batch_tokens_(shape.tokens * world.size()) {}

  absl::Status CreateLayer(comm::Communicator& world) {
    parallel::ExchangeOptions options;
    options.costs.row_bytes = shape_.hidden * 4;
    options.num_chunks = absl::GetFlag(FLAGS_chunks);
    options.inside_nodes = absl::GetFlag(FLAGS_messages) ? comm::NodeTransport::kMessages
                                                         : comm::NodeTransport::kSharedMemory;
    EQ_ASSIGN_OR_RETURN(
        exchange_,
        parallel::MakeExpertExchange(
            absl::GetFlag(FLAGS_exchange), world, memory_.context(),
            routing::ExpertPlacement::Contiguous(shape_.experts, world.size()), options));
    EQ_ASSIGN_OR_RETURN(layer_, parallel::MoeLayer::Create(ModelOf(shape_), 0, 0, "layer.",
                                                           *exchange_, world.rank(), parameters_));
    const int64_t alignment[kNumParameterGroups] = {1, 1};
    EQ_RETURN_IF_ERROR(parameters_.Allocate(memory_.device(), DType::kF32, alignment));
    parameters_.Initialize(memory_.device(), /*seed=*/1);
    EQ_ASSIGN_OR_RETURN(statistics_, parallel::RouterStatistics::Create(
                                         memory_.device(), world, {&layer_->router()},
                                         parallel::LoadSource::kCurrentStep));
    return absl::OkStatus();
  }

  absl::Status CreateTensors(int rank) {
    const Shape rows = {shape_.tokens, shape_.hidden};
    for (Tensor* tensor : {&h_, &h_out_, &upstream_, &dh_}) {
      EQ_ASSIGN_OR_RETURN(*tensor, Tensor::Create(memory_.device(), DType::kF32, rows));
    }
    EQ_ASSIGN_OR_RETURN(tokens_, Tensor::Create(memory_.device(), DType::kI32, {shape_.tokens}));
    FillNormal(StreamKey(static_cast<uint64_t>(rank), "tokens"), h_.view());
    FillNormal(StreamKey(static_cast<uint64_t>(rank), "gradients"), upstream_.view());
    batch_.tokens = tokens_.view();
    batch_.sequence_length = shape_.tokens;
    batch_.first_token = rank * shape_.tokens;
    return absl::OkStatus();
  }

  RankMemory& memory_;
  const LayerShape shape_;
  const int64_t batch_tokens_;
  PhaseTimers timers_{Now};
  PhaseSeconds phases_;
  comm::TransferTimes times_;
  ParameterRegistry parameters_;
  std::unique_ptr<parallel::ExpertExchange> exchange_;
  std::unique_ptr<parallel::MoeLayer> layer_;
  std::unique_ptr<parallel::RouterStatistics> statistics_;
  Tensor h_, h_out_, upstream_, dh_;  // F32 [T, H]
  Tensor tokens_;                     // I32 [T]
  parallel::MicroBatch batch_;
};

absl::Status RunRank(comm::Communicator& world) {
  EQ_ASSIGN_OR_RETURN(const LayerShape shape, ShapeNamed(absl::GetFlag(FLAGS_shape)));
  EQ_ASSIGN_OR_RETURN(const auto memory, RankMemory::Create());
  EQ_ASSIGN_OR_RETURN(Stopwatch stopwatch, Stopwatch::Create(world, *memory));
  EQ_ASSIGN_OR_RETURN(const auto layer, LayerUnderTest::Create(world, *memory, shape));
  Ceilings::Options options;
  options.hidden = shape.hidden;
  options.width = shape.width;
  options.expert_rows = shape.copies() * world.size() / shape.experts;
  options.moved_rows = shape.copies();
  EQ_ASSIGN_OR_RETURN(Ceilings ceilings, Ceilings::Create(world, *memory, stopwatch, options));
  Measurement measurement;
  measurement.name = absl::StrCat("MoE layer, forward and backward: ", shape.ToString(), ", ",
                                  world.size(), " ranks");
  measurement.flops = shape.flops();
  measurement.tokens = shape.tokens * world.size();
  // Rows are gathered and scattered once each way, and so are their gradients.
  measurement.permuted_bytes =
      8.0 * sizeof(float) * static_cast<double>(shape.copies() * shape.hidden);
  std::vector<double> exposed, hidden;  // transfers, as shares of each round's step
  const int warm_ups = absl::GetFlag(FLAGS_warm_ups);
  for (int round = -warm_ups; round < absl::GetFlag(FLAGS_rounds); ++round) {
    if (round >= 0) EQ_RETURN_IF_ERROR(ceilings.MeasureRound());
    EQ_RETURN_IF_ERROR(layer->Prepare());
    EQ_ASSIGN_OR_RETURN(const double seconds, stopwatch.Time([&] { return layer->Step(); }));
    if (round < 0) continue;
    measurement.Add(seconds, layer->phases());
    exposed.push_back(layer->times().blocked / seconds);
    hidden.push_back(layer->times().hidden / seconds);
  }
  if (world.rank() != 0) return absl::OkStatus();
  PrintReport(measurement, ceilings);
  std::printf("%s, %d chunks: exposed %.1f %% of a step, hidden %.1f %% (medians, rank 0)\n",
              absl::GetFlag(FLAGS_exchange).c_str(), absl::GetFlag(FLAGS_chunks),
              100.0 * Median(exposed), 100.0 * Median(hidden));
  return absl::OkStatus();
}

}  // namespace
}  // namespace equipoise::bench

int main(int argc, char** argv) {
  return equipoise::bench::RunOnWorld(argc, argv, equipoise::bench::RunRank);
}
