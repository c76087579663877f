#ifndef EQUIPOISE_LAUNCHER_CONFIG_LOADER_H_
#define EQUIPOISE_LAUNCHER_CONFIG_LOADER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "launcher/config/change.h"
#include "launcher/config/experiment.h"
#include "launcher/config/run_options.h"

namespace equipoise::launcher {

struct LoadRequest {
  // A RunConfig in text format, with or without includes.
  std::string path;
  // Files that are laid over it, in this order, before the changes.
  std::vector<std::string> fragments;
  // Laid over the files in this order, before the overrides.
  std::vector<Change> changes;
  // "PATH=VALUE" each, of the command line, in this order: "moe.top_k=2",
  // "layout.expert_owner=[0,1]".
  std::vector<std::string> overrides;
  // A fragment, change or override that chooses a router, say, is an error when a later one
  // replaces it. What the report tells to do.
  std::string replaced_choice_advice = "choose one";
  // The file is what an earlier run resolved and stored. Settings without effect, which are refused
  // where people write them, then count as not written: a version that did not know that they have
  // none may have stored them.
  bool is_stored = false;
  // Ranks of the world. Without it, rules about ranks are not checked.
  std::optional<int> num_ranks;
};

// A valid configuration. A value.
struct LoadedConfig {
  RunOptions options;
  // Every field with its value, in text format; read again it gives the same configuration and the
  // same text.
  std::string resolved_text;
  // 16 hexadecimal digits (XXH3-64) of resolved_text: equal on ranks that agree.
  std::string hash;
  // What may not differ when a run goes on.
  Experiment experiment;
  // Files that were read, the main one first.
  std::vector<std::string> files;
  std::vector<std::string> overrides;
};

// Reads, merges and checks a configuration. InvalidArgument with everything that is wrong with it,
// a line "file:line:col: what; did you mean X?" for each, sorted by place; problems of the n-th
// override begin with "--set #n 'PATH=VALUE'", those of a change with its place. ReportsOf
// (problem.h) takes the message apart. Touches nothing but the files it reads.
absl::StatusOr<LoadedConfig> LoadConfig(const LoadRequest& request);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_LOADER_H_
