#include "launcher/config/translate.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "comm/exchange/node_transport.h"
#include "comm/link_model.h"
#include "core/base/check.h"
#include "launcher/config/links.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::FieldDescriptor;

routing::LossScope ToScope(config::BalanceLoss::Scope scope) {
  switch (scope) {
    case config::BalanceLoss::GLOBAL_BATCH:
      return routing::LossScope::kGlobalBatch;
    case config::BalanceLoss::RUNNING:
      return routing::LossScope::kRunning;
    case config::BalanceLoss::MICRO_BATCH:
      return routing::LossScope::kMicroBatch;
    case config::BalanceLoss::SEQUENCE:
      return routing::LossScope::kSequence;
  }
  EQ_CHECK(false);
}

TokenFormat ToFormat(config::Domain::Format format) {
  switch (format) {
    case config::Domain::AUTO:
      return TokenFormat::kAuto;
    case config::Domain::MEGATRON:
      return TokenFormat::kMegatron;
    case config::Domain::LLM_C:
      return TokenFormat::kLlmC;
    case config::Domain::NANO_GPT:
      return TokenFormat::kNanoGpt;
    case config::Domain::BYTES:
      return TokenFormat::kBytes;
  }
  EQ_CHECK(false);
}

ScheduleKind ToKind(config::Schedule::Kind kind) {
  switch (kind) {
    case config::Schedule::CONSTANT:
      return ScheduleKind::kConstant;
    case config::Schedule::COSINE:
      return ScheduleKind::kCosine;
    case config::Schedule::WSD:
      return ScheduleKind::kWsd;
  }
  EQ_CHECK(false);
}

parallel::LoadSource ToLoadSource(config::Batch::LoadSource source) {
  switch (source) {
    case config::Batch::AUTO:
      return parallel::LoadSource::kAuto;
    case config::Batch::CURRENT_STEP:
      return parallel::LoadSource::kCurrentStep;
    case config::Batch::PREVIOUS_STEP:
      return parallel::LoadSource::kPreviousStep;
  }
  EQ_CHECK(false);
}

comm::NodeTransport ToNodeTransport(config::Layout::NodeMemory memory) {
  switch (memory) {
    case config::Layout::SHARED:
      return comm::NodeTransport::kSharedMemory;
    case config::Layout::MESSAGES:
      return comm::NodeTransport::kMessages;
  }
  EQ_CHECK(false);
}

ProgressBar ToProgressBar(config::Telemetry::Progress progress) {
  switch (progress) {
    case config::Telemetry::AUTO:
      return ProgressBar::kAuto;
    case config::Telemetry::ON:
      return ProgressBar::kOn;
    case config::Telemetry::OFF:
      return ProgressBar::kOff;
  }
  EQ_CHECK(false);
}

parallel::ModelOptions TranslateModel(const config::RunConfig& config) {
  const config::Model& from = config.model();
  parallel::ModelOptions model;
  model.vocabulary = from.vocabulary();
  model.hidden = from.hidden();
  model.num_layers = from.num_layers();
  model.num_heads = from.num_heads();
  model.num_kv_heads = from.num_kv_heads();
  model.head_dim = from.head_dim();
  model.qk_norm = from.qk_norm();
  model.rope_theta = from.rope_theta();
  model.norm_epsilon = from.norm_epsilon();
  model.tied_embeddings = from.tied_embeddings();
  model.num_dense_layers = from.num_dense_layers();
  model.dense_width = from.dense_width();
  model.init_stddev = from.init_stddev();
  model.tensor_names = from.tensor_names() == config::Model::MIXTRAL
                           ? parallel::TensorNames::kMixtral
                           : parallel::TensorNames::kQwen3Moe;
  model.moe.router = TranslateRouter(config);
  model.moe.expert_width = config.moe().expert_width();
  model.moe.shared_expert_width = config.moe().shared_expert_width();
  return model;
}

routing::LocalityBiasMode ToMode(config::LocalityBias::Mode mode) {
  switch (mode) {
    case config::LocalityBias::NONE:
      return routing::LocalityBiasMode::kNone;
    case config::LocalityBias::FIXED:
      return routing::LocalityBiasMode::kFixed;
    case config::LocalityBias::CONTROLLER:
      return routing::LocalityBiasMode::kController;
    case config::LocalityBias::LEARNED:
      return routing::LocalityBiasMode::kLearned;
  }
  EQ_CHECK(false);
}

// What rate 0 stands for. A softmax over E experts has scores of about 1 / E: what moves them by
// more than a small part of that in a step chases the load, and drives experts out.
double RateOf(const config::Moe& moe) {
  const config::LocalityBias& bias = moe.locality().bias();
  if (bias.rate() > 0.0) return bias.rate();
  return bias.mode() == config::LocalityBias::LEARNED ? 0.1 / std::max(moe.num_experts(), 1) : 0.05;
}

routing::LocalityOptions TranslateLocality(const config::Moe& moe) {
  const config::Locality& from = moe.locality();
  routing::LocalityOptions locality;
  locality.num_nodes = from.nodes();
  locality.nodes_per_group = from.nodes_per_group();
  locality.loss = {from.loss().coefficient(), from.loss().home(), from.loss().near(),
                   from.loss().far(), from.loss().smoothing()};
  locality.bias = {ToMode(from.bias().mode()), from.bias().strength(),
                   from.bias().target(),       RateOf(moe),
                   from.bias().limit(),        from.bias().decay()};
  locality.quota.outgoing_share = from.quota().outgoing_share();
  return locality;
}

parallel::LayoutOptions TranslateLayout(const config::Layout& from) {
  parallel::LayoutOptions layout;
  layout.expert_parallel = from.expert_parallel();
  layout.expert_owner.assign(from.expert_owner().begin(), from.expert_owner().end());
  layout.exchange = from.exchange();
  layout.exchange_chunks = from.exchange_chunks();
  layout.inside_nodes = ToNodeTransport(from.node_memory());
  layout.bucket_elements = from.bucket_elements();
  layout.recompute = from.recompute();
  // The rules have found it readable.
  layout.links = ReadLinks(from.links()).value_or(comm::LinkModel());
  return layout;
}

parallel::OptimizerOptions TranslateOptimizer(const config::RunConfig& config) {
  const config::AdamW& adamw = config.optimizer().adamw();
  const config::Schedule& schedule = config.optimizer().schedule();
  parallel::OptimizerOptions optimizer;
  optimizer.adamw.beta1 = adamw.beta1();
  optimizer.adamw.beta2 = adamw.beta2();
  optimizer.adamw.epsilon = adamw.epsilon();
  optimizer.adamw.weight_decay = adamw.weight_decay();
  optimizer.schedule.kind = ToKind(schedule.kind());
  optimizer.schedule.peak = schedule.peak();
  optimizer.schedule.final_ratio = schedule.final_ratio();
  optimizer.schedule.warmup_steps = schedule.warmup_steps();
  optimizer.schedule.total_steps = config.steps();
  optimizer.schedule.decay_steps = schedule.decay_steps();
  optimizer.max_gradient_norm = config.optimizer().max_gradient_norm();
  return optimizer;
}

// `path` from the corpus's root, unless it is absolute.
std::string FromRoot(const std::string& root, const std::string& path) {
  if (root.empty() || absl::StartsWith(path, "/")) return path;
  return absl::EndsWith(root, "/") ? root + path : absl::StrCat(root, "/", path);
}

enum class Split { kTrain, kValidation };

DatasetOptions TranslateData(const config::RunConfig& config, Split split) {
  DatasetOptions data;
  for (const config::Domain& domain : config.data().domain()) {
    const auto& paths = split == Split::kTrain ? domain.train() : domain.validation();
    if (paths.empty()) continue;
    DataSource source;
    source.domain = domain.name();
    for (const std::string& path : paths) {
      source.paths.push_back(FromRoot(config.data().root(), path));
    }
    source.weight = domain.weight();
    source.format = ToFormat(domain.format());
    data.sources.push_back(source);
  }
  data.sequence_length = config.batch().sequence_length();
  data.vocab_size = config.model().vocabulary();
  data.separator = config.data().separator();
  data.seed = static_cast<uint64_t>(config.seed());
  return data;
}

}  // namespace

routing::RouterOptions TranslateRouter(const config::RunConfig& config) {
  const config::Moe& moe = config.moe();
  routing::RouterOptions router;
  router.hidden = config.model().hidden();
  router.num_experts = moe.num_experts();
  router.top_k = moe.top_k();
  router.seed = static_cast<uint64_t>(config.seed());
  router.balance_loss.coefficient = moe.balance_loss().coefficient();
  router.balance_loss.scope = ToScope(moe.balance_loss().scope());
  router.z_loss.coefficient = moe.z_loss().coefficient();
  router.capacity = {moe.capacity_factor(), moe.capacity_floor()};
  router.measure_angles = config.telemetry().angles();
  router.locality = TranslateLocality(moe);
  const auto* oneof = config::Router::descriptor()->FindOneofByName("kind");
  const FieldDescriptor* chosen =
      config::Router::GetReflection()->GetOneofFieldDescriptor(moe.router(), oneof);
  if (chosen == nullptr) chosen = oneof->field(0);
  router.kind = chosen->name();
  router.settings = ToSettings(config::Router::GetReflection()->GetMessage(moe.router(), chosen));
  return router;
}

void ResolveDefaults(const std::string& default_name, config::RunConfig& config) {
  config.clear_include();
  if (config.name().empty()) config.set_name(default_name);
  config::Model& model = *config.mutable_model();
  if (model.num_kv_heads() == 0) model.set_num_kv_heads(model.num_heads());
  if (model.head_dim() == 0) model.set_head_dim(model.hidden() / model.num_heads());
  config::Router& router = *config.mutable_moe()->mutable_router();
  if (router.kind_case() == config::Router::KIND_NOT_SET) router.mutable_top_k();
  const config::LocalityBias::Mode mode = config.moe().locality().bias().mode();
  if (mode == config::LocalityBias::CONTROLLER || mode == config::LocalityBias::LEARNED) {
    config.mutable_moe()->mutable_locality()->mutable_bias()->set_rate(RateOf(config.moe()));
  }
}

RunOptions Translate(const config::RunConfig& config) {
  RunOptions run;
  run.name = config.name();
  parallel::TrainOptions& train = run.train;
  train.model = TranslateModel(config);
  train.layout = TranslateLayout(config.layout());
  train.batch.sequences = config.batch().sequences();
  train.batch.sequence_length = config.batch().sequence_length();
  train.batch.accumulation_steps = config.batch().accumulation_steps();
  train.batch.load_source = ToLoadSource(config.batch().load_source());
  train.optimizer = TranslateOptimizer(config);
  train.checkpoint.every_steps = config.checkpoint().every_steps();
  train.checkpoint.save_at_end = config.checkpoint().save_at_end();
  train.checkpoint.keep = config.checkpoint().keep();
  train.checkpoint.resume = config.checkpoint().resume();
  train.validation.every_steps = config.validation().every_steps();
  train.validation.sequences = config.validation().sequences();
  train.data = TranslateData(config, Split::kTrain);
  train.allow_other_data = config.data().allow_change();
  train.data_by_node = config.data().by_node();
  train.steps = config.steps();
  if (config.max_minutes() > 0) train.time_limit = absl::Minutes(config.max_minutes());
  train.seed = static_cast<uint64_t>(config.seed());
  run.patience.warn_after = absl::Seconds(config.wait().warn_seconds());
  run.patience.stop_after = absl::Seconds(config.wait().stop_seconds());
  run.patience.lost_node_after = absl::Seconds(config.wait().lost_node_seconds());
  if (train.validation.sequences > 0) {
    run.validation_data = TranslateData(config, Split::kValidation);
  }
  train.consistency = {config.telemetry().consistency_every_steps(),
                       config.telemetry().consistency_segment(),
                       config.telemetry().consistency_cache()};
  run.telemetry.console_every_steps = config.telemetry().console_every_steps();
  run.telemetry.progress = ToProgressBar(config.telemetry().progress());
  run.telemetry.router_log = config.telemetry().router_log();
  run.telemetry.tensorboard = config.telemetry().tensorboard();
  run.telemetry.prometheus = config.telemetry().prometheus();
  run.telemetry.prometheus_directory = config.telemetry().prometheus_directory();
  return run;
}

}  // namespace equipoise::launcher
