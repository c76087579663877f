#ifndef EQUIPOISE_LAUNCHER_CONFIG_CHANGE_H_
#define EQUIPOISE_LAUNCHER_CONFIG_CHANGE_H_

#include <string>

namespace equipoise::launcher {

// A setting that is laid over a configuration, and where it was written. A value.
struct Change {
  std::string text;   // "PATH=VALUE"
  std::string place;  // what a report begins with: "sweep.textproto:4:30: axis top_k"
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_CHANGE_H_
