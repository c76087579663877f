#ifndef EQUIPOISE_LAUNCHER_CONFIG_EXPERIMENT_H_
#define EQUIPOISE_LAUNCHER_CONFIG_EXPERIMENT_H_

#include <map>
#include <string>
#include <vector>

namespace equipoise::launcher {

// What a configuration trains, without where and how the run is carried out (layout, checkpoints,
// waits, telemetry): two configurations of one experiment can go on with each other's runs. A
// value.
struct Experiment {
  // Path of a field to its value as text. A list of blocks has its length, a choice of one block
  // its name: so whatever differs, a path that both have differs.
  std::map<std::string, std::string> fields;

  // 16 hexadecimal digits (XXH3-64): equal for equal experiments.
  std::string hash() const;
};

// "moe.top_k is 2 there and 4 here", one for each path that both have and that differs.
std::vector<std::string> DifferencesOf(const Experiment& there, const Experiment& here);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_EXPERIMENT_H_
