#include "parallel/transformer.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/self/communicator.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "parallel/expert_exchange.h"
#include "parallel/router_statistics.h"
#include "tests/parallel/tiny_model.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

using testing_support::SameBits;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr int64_t kSequenceLength = 6;

// Mixtral 8x7B (Jiang et al., 2024, table 1), at full size.
ModelOptions Mixtral() {
  ModelOptions model = testing_support::TinyOptions(DType::kF32, 1).model;
  model.vocabulary = 32000;
  model.hidden = 4096;
  model.num_layers = 32;
  model.num_heads = 32;
  model.num_kv_heads = 8;
  model.head_dim = 128;
  model.qk_norm = false;
  model.rope_theta = 1e6;
  model.norm_epsilon = 1e-5;
  model.num_dense_layers = 0;
  model.tensor_names = TensorNames::kMixtral;
  model.moe.expert_width = 14336;
  model.moe.shared_expert_width = 0;
  model.moe.router.num_experts = 8;
  model.moe.router.top_k = 2;
  return model;
}

// Qwen3-30B-A3B (Qwen3 technical report, 2025, table 2), at full size.
ModelOptions Qwen3() {
  ModelOptions model = Mixtral();
  model.vocabulary = 151936;
  model.hidden = 2048;
  model.num_layers = 48;
  model.num_kv_heads = 4;
  model.qk_norm = true;
  model.norm_epsilon = 1e-6;
  model.tensor_names = TensorNames::kQwen3Moe;
  model.moe.expert_width = 768;
  model.moe.router.num_experts = 128;
  model.moe.router.top_k = 8;
  return model;
}

// The same kind of model at a size that runs in milliseconds. Odd numbers of everything.
ModelOptions Shrunk(ModelOptions model) {
  model.vocabulary = 31;
  model.num_layers = 2;
  model.num_heads = 4;
  model.num_kv_heads = 2;
  model.hidden = model.qk_norm ? 10 : 24;
  model.head_dim = 6;
  model.moe.expert_width = 7;
  model.moe.router.num_experts = std::min(model.moe.router.num_experts, 11);
  model.moe.router.top_k = std::min(model.moe.router.top_k, 3);
  model.init_stddev = 0.3;
  return model;
}

// One rank's model and what it needs.
class Rank {
 public:
  static absl::StatusOr<std::unique_ptr<Rank>> Create(comm::Communicator& world,
                                                      const ModelOptions& options, bool recompute) {
    std::unique_ptr<Rank> rank(new Rank(world));
    EQ_ASSIGN_OR_RETURN(rank->exchange_,
                        MakeExpertExchange("flat", world, rank->context(),
                                           routing::ExpertPlacement::Contiguous(
                                               options.moe.router.num_experts, world.size())));
    EQ_ASSIGN_OR_RETURN(rank->model_, Transformer::Create(options, recompute, *rank->exchange_,
                                                          world.rank(), rank->parameters_));
    return rank;
  }
  absl::Status Allocate(DType dtype) {
    EQ_RETURN_IF_ERROR(parameters_.Allocate(memory_.device(), dtype, {1, 1}));
    parameters_.Initialize(memory_.device(), 9);
    EQ_ASSIGN_OR_RETURN(statistics_,
                        RouterStatistics::Create(memory_.device(), world_, model_->routers(),
                                                 LoadSource::kCurrentStep));
    return absl::OkStatus();
  }
  // A micro-batch of `sequences`, other tokens on other ranks.
  MicroBatch Batch(int64_t sequences, int64_t vocabulary) {
    MicroBatch batch;
    const int64_t tokens = sequences * kSequenceLength;
    const auto key = static_cast<uint64_t>(10 + world_.rank());
    batch.tokens = memory_.Below(DType::kI32, {tokens}, key, static_cast<uint64_t>(vocabulary));
    batch.targets =
        memory_.Below(DType::kI32, {tokens}, key + 100, static_cast<uint64_t>(vocabulary));
    batch.sequence_length = kSequenceLength;
    batch.step = 1;
    return batch;
  }
  absl::StatusOr<std::vector<double>> ForwardBackward(const MicroBatch& batch,
                                                      const Transformer::OnComplete& on_complete) {
    const TensorView losses = memory_.Zeros(DType::kF64, {batch.tokens.dim(0)});
    statistics_->BeginStep(memory_.context(), 100);
    statistics_->BeginMicroBatch(100);
    EQ_RETURN_IF_ERROR(model_->ForwardBackward({memory_.context(), nullptr, statistics_.get()},
                                               batch, 100, losses, on_complete));
    EQ_RETURN_IF_ERROR(statistics_->EndStep(memory_.context()));
    return ToDoubles(losses);
  }
  absl::StatusOr<std::vector<double>> Evaluate(const MicroBatch& batch) {
    const TensorView losses = memory_.Zeros(DType::kF64, {batch.tokens.dim(0)});
    EQ_RETURN_IF_ERROR(model_->Evaluate({memory_.context(), nullptr, nullptr}, batch, losses));
    return ToDoubles(losses);
  }

  Transformer& model() { return *model_; }
  ParameterRegistry& parameters() { return parameters_; }
  RouterStatistics& statistics() { return *statistics_; }
  const Context& context() const { return memory_.context(); }

 private:
  explicit Rank(comm::Communicator& world) : world_(world) {}

  comm::Communicator& world_;
  TestContext memory_{size_t{1} << 28};
  std::unique_ptr<ExpertExchange> exchange_;
  ParameterRegistry parameters_;
  std::unique_ptr<Transformer> model_;
  std::unique_ptr<RouterStatistics> statistics_;
};

// Elements of all parameters, which need not be allocated for it.
int64_t CountElements(const ModelOptions& options, std::vector<std::string>* names = nullptr) {
  const auto world = comm::MakeSelfCommunicator();
  const auto rank = Rank::Create(*world, options, false);
  EXPECT_TRUE(rank.ok()) << rank.status();
  int64_t elements = 0;
  for (const auto& parameter : (*rank)->parameters().parameters()) {
    elements += parameter->num_elements();
    if (names == nullptr) continue;
    for (const LogicalTensor& part : parameter->spec().parts) names->push_back(part.name);
  }
  return elements;
}

TEST(Transformer, HasThePublishedNumbersOfParameters) {
  // 46.7 and 30.5 billion.
  EXPECT_EQ(CountElements(Mixtral()), 46'702'792'704);
  EXPECT_EQ(CountElements(Qwen3()), 30'532'122'624);
}

// Names of a model of one layer and two experts.
std::vector<std::string> NamesOf(ModelOptions options) {
  options.num_layers = 1;
  options.moe.router.num_experts = 2;
  options.moe.router.top_k = 1;
  std::vector<std::string> names;
  CountElements(options, &names);
  std::sort(names.begin(), names.end());
  return names;
}

// Those and the names that both families have.
std::vector<std::string> WithCommonNames(std::vector<std::string> of_layer) {
  for (const char* name :
       {"input_layernorm.weight", "post_attention_layernorm.weight", "self_attn.q_proj.weight",
        "self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.o_proj.weight"}) {
    of_layer.push_back(name);
  }
  std::vector<std::string> names = {"lm_head.weight", "model.embed_tokens.weight",
                                    "model.norm.weight"};
  for (const std::string& name : of_layer) names.push_back("model.layers.0." + name);
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Transformer, NamesItsParametersAsHuggingFaceDoes) {
  EXPECT_EQ(
      NamesOf(Shrunk(Qwen3())),
      WithCommonNames({"self_attn.q_norm.weight", "self_attn.k_norm.weight", "mlp.gate.weight",
                       "mlp.experts.0.gate_proj.weight", "mlp.experts.0.up_proj.weight",
                       "mlp.experts.0.down_proj.weight", "mlp.experts.1.gate_proj.weight",
                       "mlp.experts.1.up_proj.weight", "mlp.experts.1.down_proj.weight"}));
  EXPECT_EQ(NamesOf(Shrunk(Mixtral())),
            WithCommonNames(
                {"block_sparse_moe.gate.weight", "block_sparse_moe.experts.0.w1.weight",
                 "block_sparse_moe.experts.0.w2.weight", "block_sparse_moe.experts.0.w3.weight",
                 "block_sparse_moe.experts.1.w1.weight", "block_sparse_moe.experts.1.w2.weight",
                 "block_sparse_moe.experts.1.w3.weight"}));
}

TEST(Transformer, TiedEmbeddingsHaveNoHead) {
  ModelOptions options = Shrunk(Mixtral());
  const int64_t untied = CountElements(options);
  options.tied_embeddings = true;
  EXPECT_EQ(CountElements(options), untied - options.vocabulary * options.hidden);
}

// The option sets that run below.
std::vector<ModelOptions> SmallModels() {
  std::vector<ModelOptions> models = {Shrunk(Mixtral()), Shrunk(Qwen3()),
                                      testing_support::TinyOptions(DType::kF32, 1).model};
  models.push_back(models[1]);
  models.back().tied_embeddings = true;
  models.back().moe.router.capacity.factor = 1.0;
  return models;
}

void ForEachModel(const std::function<absl::Status(comm::Communicator&, const ModelOptions&,
                                                   bool recompute)>& body) {
  int index = 0;
  for (const ModelOptions& model : SmallModels()) {
    for (const int ranks : {1, 3}) {
      for (const bool recompute : {false, true}) {
        SCOPED_TRACE(
            absl::StrCat("model ", index, ", ", ranks, " ranks", recompute ? ", recompute" : ""));
        const absl::Status status = comm::RunRanks(
            ranks, [&](comm::Communicator& world) { return body(world, model, recompute); });
        EXPECT_TRUE(status.ok()) << status;
      }
    }
    ++index;
  }
}

TEST(Transformer, EvaluationHasTheBitsOfTraining) {
  ForEachModel(
      [](comm::Communicator& world, const ModelOptions& options, bool recompute) -> absl::Status {
        EQ_ASSIGN_OR_RETURN(const auto rank, Rank::Create(world, options, recompute));
        EQ_RETURN_IF_ERROR(rank->Allocate(options.dtype));
        // The last of several ranks has no tokens.
        const bool empty = world.size() > 1 && world.rank() == world.size() - 1;
        const MicroBatch batch = rank->Batch(empty ? 0 : 3, options.vocabulary);
        EQ_ASSIGN_OR_RETURN(const auto trained, rank->ForwardBackward(batch, nullptr));
        const std::vector<double> sums = rank->statistics().Sums(0);
        EQ_ASSIGN_OR_RETURN(const auto evaluated, rank->Evaluate(batch));
        EXPECT_TRUE(SameBits(evaluated, trained));
        EXPECT_EQ(rank->statistics().Sums(0), sums) << "an evaluation was recorded";
        EXPECT_EQ(rank->context().scratch->mark(), 0u);
        EXPECT_EQ(rank->context().activations->mark(), 0u);
        return absl::OkStatus();
      });
}

// Every token is counted once per MoE layer, also when layers run twice.
TEST(Transformer, RecordsEveryTokenOnce) {
  ForEachModel(
      [](comm::Communicator& world, const ModelOptions& options, bool recompute) -> absl::Status {
        EQ_ASSIGN_OR_RETURN(const auto rank, Rank::Create(world, options, recompute));
        EQ_RETURN_IF_ERROR(rank->Allocate(options.dtype));
        const MicroBatch batch = rank->Batch(2 + world.rank(), options.vocabulary);
        EQ_RETURN_IF_ERROR(rank->ForwardBackward(batch, nullptr).status());
        int64_t sequences = 0;
        for (int r = 0; r < world.size(); ++r) sequences += 2 + r;
        const size_t layers = rank->model().routers().size();
        EXPECT_EQ(static_cast<int>(layers), options.num_layers - options.num_dense_layers);
        for (size_t layer = 0; layer < layers; ++layer) {
          const std::vector<double> sums = rank->statistics().Sums(static_cast<int>(layer));
          double copies = 0.0;
          for (int e = 0; e < options.moe.router.num_experts; ++e) copies += sums[e];
          EXPECT_EQ(copies,
                    static_cast<double>(sequences * kSequenceLength * options.moe.router.top_k));
        }
        return absl::OkStatus();
      });
}

// A gradient that was announced as complete does not change any more.
TEST(Transformer, AnnouncesOnlyWhatIsComplete) {
  ForEachModel(
      [](comm::Communicator& world, const ModelOptions& options, bool recompute) -> absl::Status {
        EQ_ASSIGN_OR_RETURN(const auto rank, Rank::Create(world, options, recompute));
        EQ_RETURN_IF_ERROR(rank->Allocate(options.dtype));
        const auto& all = rank->parameters().parameters();
        std::vector<std::vector<double>> announced(all.size());
        std::vector<int64_t> positions;
        const auto on_complete = [&](int64_t first) {
          for (size_t i = static_cast<size_t>(first); i < all.size(); ++i) {
            if (announced[i].empty()) announced[i] = ToDoubles(all[i]->gradient());
          }
          positions.push_back(first);
          return absl::OkStatus();
        };
        const MicroBatch batch = rank->Batch(2, options.vocabulary);
        EQ_RETURN_IF_ERROR(rank->ForwardBackward(batch, on_complete).status());
        EXPECT_TRUE(std::is_sorted(positions.rbegin(), positions.rend()));
        EXPECT_EQ(positions.back(), 0);
        EXPECT_EQ(positions.size(), static_cast<size_t>(options.num_layers) + 2);
        for (size_t i = 0; i < all.size(); ++i) {
          EXPECT_EQ(announced[i], ToDoubles(all[i]->gradient())) << all[i]->spec().parts[0].name;
        }
        return absl::OkStatus();
      });
}

TEST(Transformer, PassesOnWhatTheListenerSays) {
  const auto world = comm::MakeSelfCommunicator();
  const auto rank = Rank::Create(*world, Shrunk(Mixtral()), false);
  ASSERT_TRUE(rank.ok()) << rank.status();
  ASSERT_TRUE((*rank)->Allocate(DType::kF32).ok());
  const MicroBatch batch = (*rank)->Batch(1, 31);
  const auto losses = (*rank)->ForwardBackward(
      batch, [](int64_t) { return absl::UnavailableError("the bucket did not leave"); });
  EXPECT_EQ(losses.status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace equipoise::parallel
