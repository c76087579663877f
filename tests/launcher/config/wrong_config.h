#ifndef EQUIPOISE_TESTS_LAUNCHER_CONFIG_WRONG_CONFIG_H_
#define EQUIPOISE_TESTS_LAUNCHER_CONFIG_WRONG_CONFIG_H_

#include <optional>
#include <string>
#include <vector>

namespace equipoise::launcher {

// Rows of tables of what is wrong with ValidText(), for parameterized tests.

// Line `line` of ValidText() becomes `text`. One problem must come of it, at `place` ("16:10"),
// saying `message`.
struct WrongLine {
  const char* name;
  int line;
  const char* text;
  const char* place;
  const char* message;
};
void ExpectToldAtItsPlace(const WrongLine& wrong);

// Overrides of ValidText(), checked for `num_ranks`, and the only problem they must give: at one of
// them, with its number.
struct WrongOverride {
  const char* name;
  std::vector<std::string> overrides;
  std::optional<int> num_ranks;
  const char* problem;
};
void ExpectToldWithItsNumber(const WrongOverride& wrong);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_TESTS_LAUNCHER_CONFIG_WRONG_CONFIG_H_
