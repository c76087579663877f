#ifndef EQUIPOISE_LAUNCHER_TOP_SCREEN_H_
#define EQUIPOISE_LAUNCHER_TOP_SCREEN_H_

#include <string>
#include <vector>

#include "launcher/top/run_watch.h"

namespace equipoise::launcher {

struct ScreenOptions {
  int columns = 80;
  int rows = 24;
  // Bars of block characters (Unicode 2581 to 2588); else of ASCII.
  bool unicode = true;
  // Emphasis and colours by escape sequences (ECMA-48).
  bool colour = false;
};

// The run as lines of text, at most `rows` of at most `columns` places each.
std::vector<std::string> DrawScreen(const RunNow& run, const ScreenOptions& options);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_TOP_SCREEN_H_
