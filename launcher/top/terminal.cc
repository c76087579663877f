#include "launcher/top/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace equipoise::launcher {
namespace {

constexpr char kEnterScreen[] = "\x1b[?1049h\x1b[?25l";  // the second screen, without a cursor
constexpr char kLeaveScreen[] = "\x1b[?25h\x1b[?1049l";
constexpr char kHome[] = "\x1b[H";
constexpr char kClearLine[] = "\x1b[K";
constexpr char kClearBelow[] = "\x1b[J";
constexpr char kControlC = 3;
constexpr char kControlD = 4;

void Write(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

Terminal::Terminal() {
  if (tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios raw = before_;
    // No echo, no lines, and Ctrl-C as a key: the screen is then restored on every way out.
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
    changed_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  Write(kEnterScreen);
}

Terminal::~Terminal() {
  Write(kLeaveScreen);
  if (changed_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

void Terminal::Show(const std::vector<std::string>& lines) {
  std::string text = kHome;
  for (size_t i = 0; i < lines.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : "\r\n", lines[i], kClearLine);
  }
  Write(absl::StrCat(text, kClearBelow));
}

bool Terminal::WaitForQuit(absl::Duration timeout) {
  pollfd input = {STDIN_FILENO, POLLIN, 0};
  const int ready = poll(&input, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  if (ready <= 0) return false;  // also when the window changed (EINTR)
  char key = 0;
  const ssize_t count = read(STDIN_FILENO, &key, 1);
  if (count == 0) return true;
  return count == 1 && (key == 'q' || key == 'Q' || key == kControlC || key == kControlD);
}

WindowSize GetWindowSize() {
  winsize size = {};
  WindowSize result;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return result;
  if (size.ws_col > 0) result.columns = size.ws_col;
  if (size.ws_row > 0) result.rows = size.ws_row;
  return result;
}

bool WantsUtf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string locale = absl::AsciiStrToLower(value);
    return absl::StrContains(locale, "utf-8") || absl::StrContains(locale, "utf8");
  }
  return false;
}

}  // namespace equipoise::launcher
