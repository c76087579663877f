#ifndef EQUIPOISE_LAUNCHER_TOP_TERMINAL_H_
#define EQUIPOISE_LAUNCHER_TOP_TERMINAL_H_

#include <termios.h>

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace equipoise::launcher {

// While it lives, the terminal shows a screen of our own and gives keys at once; afterwards it is
// as it was. Only sequences that every terminal knows (ECMA-48, and xterm's second screen), so that
// it works over ssh without a terminal database. One at a time, in the main thread.
class Terminal {
 public:
  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Replaces what is shown.
  void Show(const std::vector<std::string>& lines);
  // Waits for a key, a change of the window's size, or `timeout`. True if the user wants to leave:
  // q, Ctrl-C, Ctrl-D, the end of the input.
  bool WaitForQuit(absl::Duration timeout);

 private:
  termios before_ = {};
  bool changed_ = false;
};

// Of standard output's window; 80 x 24 if that is no terminal.
struct WindowSize {
  int columns = 80;
  int rows = 24;
};
WindowSize GetWindowSize();

// Whether the locale of the environment is one of UTF-8.
bool WantsUtf8();

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_TOP_TERMINAL_H_
