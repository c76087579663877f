#include "tests/parallel/golden_run.h"

#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "core/io/file_system.h"
#include "core/io/safetensors.h"
#include "gtest/gtest.h"
#include "parallel/train_step.h"
#include "tests/support/compare.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

using testing_support::AllClose;
using testing_support::ToDoubles;

// One golden file and its hyper-parameters.
class Golden {
 public:
  explicit Golden(const std::string& name) {
    auto opened = SafetensorsReader::Open(
        *file_system_, absl::StrCat("tests/testdata/golden_", name, ".safetensors"));
    EXPECT_TRUE(opened.ok()) << opened.status();
    if (opened.ok()) reader_ = *std::move(opened);
  }

  bool ok() const { return reader_ != nullptr; }
  bool Has(const std::string& name) const { return reader_->Find(name) != nullptr; }
  std::string Text(const std::string& key) const { return reader_->metadata().at(key); }
  bool Flag(const std::string& key) const { return Text(key) == "true"; }
  int Int(const std::string& key) const { return std::atoi(Text(key).c_str()); }
  double Number(const std::string& key) const {
    double value = std::nan("");
    EXPECT_TRUE(absl::SimpleAtod(Text(key), &value)) << key;
    return value;
  }
  template <typename T>
  std::vector<T> Values(const std::string& name) const {
    const SafetensorsEntry* entry = reader_->Find(name);
    EXPECT_NE(entry, nullptr) << name;
    if (entry == nullptr) return {};
    std::vector<T> values(entry->num_bytes() / sizeof(T));
    const absl::Status status = reader_->Read<T>(name, entry->spec.shape, std::span<T>(values));
    EXPECT_TRUE(status.ok()) << status;
    return values;
  }

 private:
  const std::unique_ptr<FileSystem> file_system_ = NewPosixFileSystem();
  std::unique_ptr<SafetensorsReader> reader_;
};

routing::RouterOptions RouterOf(const Golden& golden) {
  routing::RouterOptions router;
  router.num_experts = golden.Int("num_experts");
  router.top_k = golden.Int("top_k");
  const bool sigmoid = golden.Text("score_function") == "sigmoid";
  router.settings.Set("score", std::string(sigmoid ? "SIGMOID" : "SOFTMAX"));
  router.settings.Set("selection", std::string("SCORE_ALL"));
  router.settings.Set("renormalise", golden.Flag("renormalize"));
  router.settings.Set("scaling_factor", golden.Number("routed_scaling_factor"));
  router.balance_loss.coefficient = golden.Number("balance_coefficient");
  router.z_loss.coefficient = golden.Number("z_coefficient");
  return router;
}

TrainOptions OptionsOf(const Golden& golden) {
  TrainOptions options;
  ModelOptions& model = options.model;
  model.vocabulary = golden.Int("vocab_size");
  model.hidden = golden.Int("hidden_size");
  model.num_layers = golden.Int("num_layers");
  model.num_heads = golden.Int("num_heads");
  model.num_kv_heads = golden.Int("num_kv_heads");
  model.head_dim = golden.Int("head_dim");
  model.qk_norm = golden.Flag("qk_norm");
  model.rope_theta = golden.Number("rope_theta");
  model.norm_epsilon = golden.Number("rms_norm_eps");
  model.tied_embeddings = golden.Flag("tie_word_embeddings");
  model.num_dense_layers = golden.Int("num_dense_layers");
  model.dense_width = golden.Int("dense_width");
  model.dtype = DType::kF64;
  model.moe.router = RouterOf(golden);
  model.moe.expert_width = golden.Int("expert_width");
  model.moe.shared_expert_width = golden.Int("shared_expert_width");
  options.batch.sequences = golden.Int("batch_size");
  options.batch.sequence_length = golden.Int("sequence_length");
  options.optimizer.adamw.beta1 = golden.Number("beta1");
  options.optimizer.adamw.beta2 = golden.Number("beta2");
  options.optimizer.adamw.epsilon = golden.Number("adam_epsilon");
  options.optimizer.adamw.weight_decay = golden.Number("weight_decay");
  options.optimizer.schedule.kind = ScheduleKind::kConstant;
  options.optimizer.schedule.peak = golden.Number("learning_rate");
  options.optimizer.max_gradient_norm = golden.Number("max_grad_norm");
  options.layout.bucket_elements = 2000;
  return options;
}

// Calls visit(logical name, values of it) for every part of every parameter, read from `flat` of
// its group.
void ForEachPart(TrainStep& step, const std::map<ParameterGroup, std::vector<double>>& flat,
                 const std::function<void(const std::string&, std::span<const double>)>& visit) {
  for (const auto& parameter : step.parameters().parameters()) {
    size_t offset = static_cast<size_t>(parameter->offset());
    for (const LogicalTensor& part : parameter->spec().parts) {
      const size_t size = static_cast<size_t>(part.shape.num_elements());
      visit(part.name,
            std::span<const double>(flat.at(parameter->spec().group)).subspan(offset, size));
      offset += size;
    }
  }
}

void SetInitialValues(const Golden& golden, TrainStep& step) {
  for (const auto& parameter : step.parameters().parameters()) {
    std::vector<double> values;
    for (const LogicalTensor& part : parameter->spec().parts) {
      const std::vector<double> piece = golden.Values<double>(part.name);
      values.insert(values.end(), piece.begin(), piece.end());
    }
    ASSERT_EQ(static_cast<int64_t>(values.size()), parameter->num_elements())
        << parameter->spec().parts[0].name;
    testing_support::SetDoubles(parameter->value(), values);
  }
}

// Largest error accepted between two double-precision computations of values of this size.
double Tolerance(std::span<const double> expected) {
  return 1e-10 * (1e-2 + testing_support::MaxAbs(expected));
}

void ExpectParts(TrainStep& step, const Golden& golden, const std::string& prefix,
                 const std::map<ParameterGroup, std::vector<double>>& flat) {
  ForEachPart(step, flat, [&](const std::string& name, std::span<const double> actual) {
    const std::vector<double> expected = golden.Values<double>(prefix + name);
    EXPECT_TRUE(AllClose(actual, expected, Tolerance(expected))) << prefix << name;
  });
}

absl::StatusOr<std::map<ParameterGroup, std::vector<double>>> GatherGradients(TrainStep& step) {
  std::map<ParameterGroup, std::vector<double>> flat;
  for (const ParameterGroup group : {ParameterGroup::kReplicated, ParameterGroup::kExpert}) {
    const TensorView values = step.parameters().gradients(group);
    EQ_RETURN_IF_ERROR(
        step.sync().GatherShard(step.context(), group, step.sync().shard(group), values));
    flat[group] = ToDoubles(values);
  }
  return flat;
}

void ExpectLosses(const Golden& golden, const StepResult& result) {
  const size_t i = static_cast<size_t>(result.step - 1);
  EXPECT_NEAR(result.loss, golden.Values<double>("loss")[i], 1e-10) << "step " << result.step;
  EXPECT_NEAR(result.cross_entropy, golden.Values<double>("cross_entropy")[i], 1e-10);
  EXPECT_NEAR(result.gradient_norm, golden.Values<double>("grad_norm")[i], 1e-9);
  const size_t layers = static_cast<size_t>(golden.Int("num_layers"));
  for (const MoeLayerResult& layer : result.layers) {
    const size_t at = i * layers + static_cast<size_t>(layer.layer);
    for (const routing::LossTerm& term : layer.losses) {
      EXPECT_NEAR(term.value, golden.Values<double>(term.name + "_loss")[at], 1e-12)
          << term.name << " of layer " << layer.layer << ", step " << result.step;
    }
  }
}

absl::Status TrainAgainst(const Golden& golden, comm::Communicator& world, bool recompute) {
  TrainOptions options = OptionsOf(golden);
  options.layout.recompute = recompute;
  const std::unique_ptr<Device> device = MakeCpuDevice();
  EQ_ASSIGN_OR_RETURN(auto step, TrainStep::Create(*device, world, options, 1));
  SetInitialValues(golden, *step);

  const std::vector<int64_t> tokens = golden.Values<int64_t>("tokens");
  const SampleSource source = [&](uint64_t index, std::span<int32_t> sample, int* domain) {
    *domain = 0;
    for (size_t i = 0; i < sample.size(); ++i) {
      sample[i] = static_cast<int32_t>(tokens[index * sample.size() + i]);
    }
    return absl::OkStatus();
  };
  EQ_RETURN_IF_ERROR(step->ComputeGradient(source, 1).status());
  EQ_ASSIGN_OR_RETURN(const auto gradients, GatherGradients(*step));
  ExpectParts(*step, golden, "grad/", gradients);
  for (int64_t i = 1; i <= golden.Int("steps"); ++i) {
    EQ_ASSIGN_OR_RETURN(const StepResult result, step->Run(source, i));
    ExpectLosses(golden, result);
  }
  std::map<ParameterGroup, std::vector<double>> values;
  for (const ParameterGroup group : {ParameterGroup::kReplicated, ParameterGroup::kExpert}) {
    values[group] = ToDoubles(step->parameters().values(group));
  }
  ExpectParts(*step, golden, "final/", values);
  return absl::OkStatus();
}

}  // namespace
}  // namespace equipoise::parallel

namespace equipoise::testing_support {

std::vector<std::string> Goldens() { return {"qwen3", "qwen3_tied", "shared", "sigmoid"}; }

absl::Status TrainAgainstGolden(comm::Communicator& world, const std::string& name,
                                bool recompute) {
  const parallel::Golden golden(name);
  if (!golden.ok()) return absl::NotFoundError(absl::StrCat("no golden ", name));
  return parallel::TrainAgainst(golden, world, recompute);
}

}  // namespace equipoise::testing_support
