#include "tests/launcher/config/config_text.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace equipoise::launcher {

std::string ValidText() {
  return R"(# line 1
name: "test"
seed: 7
steps: 100
model {
  vocabulary: 257
  hidden: 48
  num_layers: 4
  num_heads: 6
  num_kv_heads: 2
  head_dim: 8
  rope_theta: 1e4
}
moe {
  num_experts: 8
  top_k: 2
  expert_width: 32
  router { top_k { score: SIGMOID } }
}
data {
  domain { name: "a" train: "a.bytes" validation: "v.bytes" }
  domain { name: "b" train: ["b.bytes", "c.bytes"] weight: 2.5 }
}
batch { sequences: 16 sequence_length: 32 accumulation_steps: 2 }
optimizer {
  adamw { beta1: 0.9 }
  schedule { kind: WSD peak: 1e-3 warmup_steps: 10 decay_steps: 20 }
}
layout { expert_parallel: 2 expert_owner: [0, 0, 1, 1, 0, 0, 1, 1] }
checkpoint { every_steps: 50 }
validation { every_steps: 10 sequences: 4 }
wait { warn_seconds: 5 }
)";
}

std::string WithLine(int line, const std::string& text) {
  std::vector<std::string> lines = absl::StrSplit(ValidText(), '\n');
  lines.at(static_cast<size_t>(line) - 1) = text;
  return absl::StrJoin(lines, "\n");
}

std::string WriteConfig(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

absl::StatusOr<LoadedConfig> Load(const std::string& path,
                                  const std::vector<std::string>& overrides,
                                  std::optional<int> num_ranks) {
  LoadRequest request;
  request.path = path;
  request.overrides = overrides;
  request.num_ranks = num_ranks;
  return LoadConfig(request);
}

std::vector<std::string> Problems(const absl::Status& status) {
  std::vector<std::string> problems;
  const std::string text =
      absl::StrReplaceAll(std::string(status.message()), {{testing::TempDir(), ""}});
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!line.empty() && !absl::StartsWith(line, "    ")) problems.emplace_back(line);
  }
  return problems;
}

}  // namespace equipoise::launcher
