// What can be wrong with a sweep file, and how it is told.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "launcher/config/sweep_loader.h"
#include "tests/launcher/config/config_text.h"

namespace equipoise::launcher {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The problems of a sweep whose first line names a base that exists.
std::vector<std::string> ProblemsOf(const std::string& text,
                                    const std::vector<std::string>& overrides = {}) {
  WriteConfig("base.textproto", ValidText());
  WriteConfig("row.textproto", "moe { top_k: 1 }");
  const std::string path =
      WriteConfig("sweep.textproto", absl::StrCat("base: \"base.textproto\"\n", text));
  const absl::StatusOr<SweepSpec> spec = LoadSweep(path, overrides);
  EXPECT_TRUE(spec.ok() || absl::IsInvalidArgument(spec.status())) << spec.status();
  return Problems(spec.status());
}

struct WrongSweep {
  const char* text;
  const char* problem;
};

TEST(WrongSweeps, AreToldWithTheirPlace) {
  const WrongSweep kWrong[] = {
      {"", "sweep.textproto:1:1: the sweep is empty: it needs an axis or seeds"},
      {"name: \"a/../../b\" seeds: 1",
       "sweep.textproto:2:1: name: \"a/../../b\" must name a folder"},
      {"name: \"..\" seeds: 1", "must name a folder below runs/"},
      {"seed: 1", "sweep.textproto:2:1: no field 'seed' in a sweep; did you mean seeds?"},
      {"axis { filed: \"steps\" }", "no field 'filed' in axis[0]; did you mean field?"},
      {"axis { field: \"moe.topk\" values: [1, 2] }",
       "sweep.textproto:2: axis topk: no field 'topk' in moe; did you mean top_k?"},
      {"axis { field: \"steps\" values: [10, x] }",
       "axis steps: steps: expected an integer, found x"},
      {"axis { field: \"steps\" values: [10, 0] }", "axis steps: steps is 0, but must be at least"},
      {"axis { field: \"steps\" }", "axis of steps has no values"},
      {"axis { field: \"steps\" values: 1 range { from: 1 to: 2 step: 1 } }",
       "needs exactly one of values, range and log_range"},
      {"axis { field: \"steps\" values: [10, 10] }", "axis steps has '10' twice"},
      {"axis { values: [10, 10] }", "exactly one of field, zip and point; this one has none"},
      {"axis { field: \"steps\" values: 1 point { name: \"a\" } }", "this one has several"},
      {"axis { name: \"a\" point { name: \"b\" } values: 1 }", "belong to an axis with a field"},
      {"axis { point { name: \"b\" } }", "an axis of points needs a name"},
      {"axis { name: \"a\" point { set: \"steps=1\" } }", "a point needs a name"},
      {"axis { name: \"a\" point { name: \"b\" set: \"steps\" } }",
       "axis a, point b: expected PATH=VALUE"},
      {"axis { name: \"a\" point { name: \"b\" set: \"include=x\" } }", "belongs into a file"},
      {"axis { name: \"a\" point { name: \"b\" config: \"rwo.textproto\" } }", "no such file; did"},
      {"axis { name: \"a\" point { name: \"b\" config: \"rows/*\" } }", "no such file"},
      {"axis { field: \"steps\" range { from: 3 to: 1 step: 1 } }", "from is greater than to"},
      {"axis { field: \"steps\" range { from: 1 to: 1e9 step: 1 } }", "more than 10000 values"},
      {"axis { field: \"steps\" range { from: 1 to: 9 } }", "range needs from, to and step"},
      {"axis { field: \"steps\" range { from: 1 to: 9 step: 0 } }", "step is 0, but must be more"},
      {"axis { field: \"steps\" log_range { from: 1 to: 9 } }", "needs from, to and count"},
      {"axis { field: \"steps\" log_range { from: 1 to: 10 count: 3 } }", "found 3.16228"},
      {"axis { zip { field: \"steps\" } }", "zip has no values"},
      {"axis { zip { field: \"steps\" values: [1, 2] } zip { field: \"seed\" values: 1 } }",
       "equally many values: steps has 2, seed has 1"},
      {"seeds: [1, -1]", "seeds[1] is -1, but must be at least 0"},
      {"seeds: [1, 1]", "seed 1 twice"},
      {"seeds: 1 skip { }", "skip has no when, and would leave out everything"},
      {"seeds: 1 skip { when: \"seed\" }", "expected AXIS=POINT or AXIS!=POINT"},
      {"seeds: 1 skip { when: \"sede=1\" }", "no axis is called 'sede'; did you mean seed?"},
      {"seeds: 1 skip { when: \"seed=twelve\" }", "axis seed has no point 'twelve'; there are 1"},
      {"seeds: 1 trial { ranks: 0 }", "trial.ranks is 0, but must be at least 1"},
      {"seeds: 1 trial { mpirun: \" \" }", "trial.mpirun is empty"},
      {"seeds: 1 median_stopping { every: 3 }", "no field 'every' in median_stopping"},
      {"seeds: 1 name: \"a\" name: \"b\"", "name is given twice"},
  };
  for (const WrongSweep& wrong : kWrong) {
    EXPECT_THAT(ProblemsOf(wrong.text), ElementsAre(HasSubstr(wrong.problem))) << wrong.text;
  }
}

TEST(WrongSweeps, TwoValuesForOneField) {
  const WrongSweep kWrong[] = {
      {"seeds: 1 set: \"seed=3\"", "seed has two values in one trial: set and seeds both set it"},
      {"set: \"steps=3\" axis { field: \"steps\" values: [1, 2] }",
       "axis steps: steps has two values in one trial: set and axis steps both set it"},
      {"axis { field: \"steps\" values: [1, 2] } axis { name: \"b\" field: \"steps\" values: 3 }",
       "steps has two values in one trial: axis steps and axis b both set it"},
      {"axis { name: \"a\" point { name: \"b\" set: \"steps=1\" set: \"steps=2\" } }",
       "steps has two values in one trial: point b sets it twice"},
      {"axis { field: \"steps\" values: 1 } axis { name: \"a\" point { name: \"b\" set: "
       "\"steps=1\" } }",
       "axis a, point b: steps has two values in one trial: axis steps and axis a both set it"},
      {"seeds: 1 set: [\"steps=1\", \"steps=2\"]", "set: steps is given two values"},
      {"axis { zip { field: \"steps\" values: 1 } zip { field: \"steps\" values: 1 } }",
       "axis steps names it twice"},
      {"axis { field: \"seed\" values: 4 } axis { field: \"moe.top_k\" values: 2 } "
       "axis { field: \"moe.top_k\" values: 1 name: \"seed\" }",
       "moe.top_k has two values in one trial"},
  };
  for (const WrongSweep& wrong : kWrong) {
    EXPECT_THAT(ProblemsOf(wrong.text), testing::Contains(HasSubstr(wrong.problem))) << wrong.text;
  }
  EXPECT_THAT(ProblemsOf("seeds: 1", {"seed=3"}),
              ElementsAre(HasSubstr("--set and seeds both set it")));
  EXPECT_THAT(ProblemsOf("axis { field: \"steps\" values: 1 } axis { name: \"steps\" point { name: "
                         "\"a\" } }"),
              ElementsAre(HasSubstr("two axes are called steps")));
}

TEST(WrongSweeps, TheCommandLineWinsOverTheFile) {
  EXPECT_THAT(ProblemsOf("seeds: 1 set: \"steps=3\"", {"steps=4", "steps=5"}), ElementsAre());
}

TEST(WrongSweeps, AllAtOnce) {
  EXPECT_THAT(
      ProblemsOf("nmae: \"x\"\naxis { field: \"moe.topk\" values: 1 }\nseeds: -1", {"stesp=3"}),
      ElementsAre(HasSubstr("2:1: no field 'nmae'"), HasSubstr("4:8: seeds[0] is -1"),
                  HasSubstr("--set #1 'stesp=3': no field 'stesp' in a configuration; did you "
                            "mean steps?"),
                  HasSubstr("sweep.textproto:3: axis topk: no field 'topk'")));
}

TEST(WrongSweeps, SkipsAreJudgedBesideAxesThatAreWrong) {
  const std::string skips = "skip { when: \"topk=3\" when: \"seed=2\" when: \"sede=1\" }";
  EXPECT_THAT(ProblemsOf("seeds: 1\naxis { field: \"moe.topk\" values: 1 }\n" + skips),
              testing::UnorderedElementsAre(
                  HasSubstr("axis topk: no field 'topk'"), HasSubstr("axis seed has no point '2'"),
                  HasSubstr("no axis is called 'sede'; did you mean seed?")));
  // What has no name may be what was meant.
  EXPECT_THAT(ProblemsOf("seeds: 1\naxis { values: 1 }\nskip { when: \"width=3\" }"),
              ElementsAre(HasSubstr("exactly one of field, zip and point")));
}

TEST(WrongSweeps, PathsThatMatchNothing) {
  EXPECT_THAT(Problems(LoadSweep("/nowhere/sweep.textproto", {}).status()),
              ElementsAre(HasSubstr("/nowhere/sweep.textproto: no such file")));
  WriteConfig("base.textproto", ValidText());
  const std::string path = WriteConfig("sweep.textproto", "base: \"bsae.textproto\" seeds: 1");
  EXPECT_THAT(Problems(LoadSweep(path, {}).status()),
              ElementsAre(testing::AllOf(HasSubstr("base \"bsae.textproto\""),
                                         HasSubstr("no such file; did you mean"))));
  const std::string none = WriteConfig("sweep.textproto", "seeds: 1");
  EXPECT_THAT(Problems(LoadSweep(none, {}).status()), ElementsAre(HasSubstr("base must be set")));
}

}  // namespace
}  // namespace equipoise::launcher
