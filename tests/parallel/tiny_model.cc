#include "tests/parallel/tiny_model.h"

#include <string>

#include "comm/link_model.h"
#include "comm/topology.h"
#include "core/base/rng.h"

namespace equipoise::testing_support {

parallel::TrainOptions TinyOptions(DType dtype, int64_t sequences) {
  parallel::TrainOptions options;
  parallel::ModelOptions& model = options.model;
  model.vocabulary = 29;
  model.hidden = 16;
  model.num_layers = 3;
  model.num_heads = 4;
  model.num_kv_heads = 2;
  model.head_dim = 6;
  model.qk_norm = true;
  model.num_dense_layers = 1;
  model.dense_width = 20;
  model.init_stddev = 0.1;
  model.dtype = dtype;
  model.moe.expert_width = 12;
  model.moe.shared_expert_width = 8;
  routing::RouterOptions& router = model.moe.router;
  router.kind = "top_k";
  router.num_experts = 8;
  router.top_k = 2;
  router.settings.Set("score", std::string("SOFTMAX"));
  router.settings.Set("selection", std::string("SCORE_ALL"));
  router.settings.Set("renormalise", true);
  router.settings.Set("scaling_factor", 1.0);
  router.balance_loss.coefficient = 0.02;
  router.z_loss.coefficient = 1e-3;
  options.batch.sequences = sequences;
  options.batch.sequence_length = 8;
  options.optimizer.schedule.peak = 5e-3;
  options.optimizer.schedule.warmup_steps = 5;
  options.optimizer.schedule.total_steps = 1000;
  options.layout.bucket_elements = 1000;
  // A made-up cluster: nothing is measured, and "auto" chooses alike on every machine.
  comm::LinkModel& links = options.layout.links;
  links[comm::LinkClass::kSelf] = {1e-7, 1e-10};
  links[comm::LinkClass::kNode] = {1e-6, 1e-9};
  links[comm::LinkClass::kRemote] = {1e-6, 1e-8};
  options.seed = 7;
  return options;
}

parallel::SampleSource SyntheticText(int64_t vocabulary, int num_domains) {
  const uint64_t size = static_cast<uint64_t>(vocabulary);
  return [size, num_domains](uint64_t index, std::span<int32_t> tokens, int* domain) {
    const Philox random(StreamKey(3, "synthetic text"));
    uint64_t token = random.Below(size, 0, index);
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = static_cast<int32_t>(token);
      const bool noise = random.Uniform(2 * i + 1, index) < 0.25;
      token = noise ? random.Below(size, 2 * i + 2, index) : (5 * token + 3) % size;
    }
    if (domain != nullptr) *domain = static_cast<int>(index % static_cast<uint64_t>(num_domains));
    return absl::OkStatus();
  };
}

}  // namespace equipoise::testing_support
