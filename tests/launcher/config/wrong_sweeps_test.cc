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
       "sweep.textproto:2:8: axis topk: no field 'topk' in moe; did you mean top_k?"},
      {"axis { field: \"mode.top_k\" values: [1, 2] }", "no field 'mode' in a configuration"},
      {"axis { field: \"include\" values: [a, b] }", "2:8: axis include: include has no effect"},
      {"axis { field: \"data.domain[0].weight\" values: [1, 2] }",
       "2:8: axis weight: data.domain is a list, and no part of a list can be set alone: set it "
       "whole, as in data.domain=[{...}, {...}]"},
      {"axis { field: \"data.domain.weight\" values: [1, 2] }", "data.domain is a list, and no"},
      {"axis { field: \"layout.expert_owner[3]\" values: [1, 2] }",
       "as in layout.expert_owner=[...]"},
      {"axis { field: \"steps\" values: [10, x] }",
       "axis steps: steps: expected an integer, found x"},
      {"axis { field: \"steps\" values: [10, 0] }", "axis steps: steps is 0, but must be at least"},
      {"axis { field: \"steps\" }", "axis of steps has no values"},
      {"axis { field: \"steps\" values: 1 range { from: 1 to: 2 step: 1 } }",
       "needs exactly one of values, range and log_range"},
      {"axis { field: \"steps\" values: [10, 10] }",
       "2:36: axis steps has the point 10 twice: first at sweep.textproto:2; leave one of them "
       "out, and repeat trials with seeds"},
      {"axis { field: \"moe.z_loss.coefficient\"\nvalues: [0.01,\n1e-2] }",
       "4:1: axis coefficient has the point 1e-2 twice: first as 0.01 at sweep.textproto:3; leave"},
      {"axis { zip { field: \"steps\" values: [1, 1] } zip { field: \"seed\" values: [2, 2] } }",
       "2:41: axis steps has the point 1/2 twice"},
      {"axis { name: \"a\" point { name: \"1\" } point { name: \"1.0\" set: \"steps=3\" } }",
       "axis a has the point 1.0 twice: first as 1 at"},
      {"axis { values: [10, 10] }", "exactly one of field, zip and point; this one has none"},
      {"axis { field: \"steps\" values: 1 point { name: \"a\" } }", "this one has several"},
      {"axis { name: \"a\" point { name: \"b\" } values: 1 }", "belong to an axis with a field"},
      {"axis { name: \"a=b\" field: \"steps\" values: 1 }", "2:1: the name of an axis has no '='"},
      {"axis { field: \"steps\" values: [1, 2",
       "2:36: expected ',' or ']' in the list, found the end"},
      {"axis { point { name: \"b\" } }", "an axis of points needs a name"},
      {"axis { name: \"a\" point { set: \"steps=1\" } }", "a point needs a name"},
      {"axis { name: \"a\" point { name: \"b\" set: \"steps\" } }",
       "axis a, point b: expected PATH=VALUE"},
      {"axis { name: \"a\" point { name: \"b\" set: \"include=x\" } }", "belongs into a file"},
      {"axis { name: \"a\" point { name: \"b\" config: \"rwo.textproto\" } }", "no such file; did"},
      {"axis { name: \"a\" point { name: \"b\" config: \"rows/*\" } }", "no such file"},
      {"axis { field: \"steps\" range { from: 2 to: 0 step: 1 } }",
       "2:23: axis steps: steps is 0, but must be at least 1"},
      {"axis { field: \"seed\" range { from: 5 to: -1e9 step: 1 } }", "more than 10000 values"},
      {"axis { field: \"steps\" range { from: 1 to: 1e9 step: 1 } }", "more than 10000 values"},
      {"axis { field: \"steps\" range { from: 1 to: 9 } }", "range needs from, to and step"},
      {"axis { field: \"steps\" range { from: 1 to: 9 step: 0 } }", "step is 0, but must be more"},
      {"axis { field: \"steps\" log_range { from: 1 to: 9 } }", "needs from, to and count"},
      {"axis { field: \"steps\" log_range { from: 1 to: 10 count: 3 } }", "found 3.16228"},
      {"axis { zip { field: \"steps\" } }", "zip has no values"},
      {"axis { zip { field: \"steps\" values: [1, 2] } zip { field: \"seed\" values: 1 } }",
       "equally many values: steps has 2, seed has 1"},
      {"seeds: [1, -1]", "seeds[1] is -1, but must be at least 0"},
      {"seeds: [1, 1]",
       "axis seed has the point 1 twice: first at sweep.textproto:2; leave one of them out"},
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
      {"set: \"seed=3\"\nseeds: 1",
       "3:1: seed has two values in one trial: set \"seed=3\" at sweep.textproto:2 and seeds at "
       "sweep.textproto:3 both set it; leave one of them out"},
      {"set: \"steps=3\"\naxis { field: \"steps\" values: [1, 2] }",
       "3:32: steps has two values in one trial: set \"steps=3\" at sweep.textproto:2 and axis "
       "steps at sweep.textproto:3 both"},
      {"axis { field: \"steps\" values: [1, 2] }\naxis { name: \"b\" field: \"steps\" values: 3 }",
       "steps has two values in one trial: axis steps at sweep.textproto:2 and axis b at "
       "sweep.textproto:3 both set it"},
      {"axis { field: \"steps\" values: [1, 2] }\naxis { field: \"steps\" values: [3, 4] }",
       "axis steps at sweep.textproto:2 and axis steps at sweep.textproto:3 both set it"},
      {"axis { name: \"a\" point { name: \"b\" set: \"steps=1\"\nset: \"steps=2\" } }",
       "3:1: steps has two values in one trial: axis a, point b at sweep.textproto:2 and axis a, "
       "point b at sweep.textproto:3 both"},
      {"axis { field: \"steps\" values: 1 }\naxis { name: \"a\" point { name: \"b\" set: "
       "\"steps=1\" } }",
       "axis steps at sweep.textproto:2 and axis a, point b at sweep.textproto:3 both set it"},
      {"seeds: 1 set: [\"steps=1\",\n\"steps=2\"]",
       "set \"steps=1\" at sweep.textproto:2 and set \"steps=2\" at sweep.textproto:3 both"},
      {"axis { zip { field: \"steps\" values: 1 }\nzip { field: \"steps\" values: 1 } }",
       "axis steps at sweep.textproto:2 and axis steps at sweep.textproto:3 both set it"},
      {"axis { field: \"moe.balance_loss\" values: [\"{ coefficient: 1 }\"] }\n"
       "axis { field: \"moe.balance_loss.coefficient\" values: [0, 1] }",
       "moe.balance_loss.coefficient has two values in one trial: axis balance_loss at "
       "sweep.textproto:2 and axis coefficient at sweep.textproto:3 both"},
      {"axis { field: \"steps\" values: 1 }\naxis { name: \"steps\" point { name: \"a\" } }",
       "3:1: two axes are called steps: this one and that at sweep.textproto:2; give one of them"},
      {"axis { name: \"seed\" field: \"steps\" values: 1 }\nseeds: 4", "two axes are called seed"},
  };
  for (const WrongSweep& wrong : kWrong) {
    EXPECT_THAT(ProblemsOf(wrong.text), ElementsAre(HasSubstr(wrong.problem))) << wrong.text;
  }
  EXPECT_THAT(ProblemsOf("seeds: 1", {"seed=3"}),
              ElementsAre(HasSubstr("2:1: seed has two values in one trial: --set #1 'seed=3' and "
                                    "seeds at sweep.textproto:2 both set it")));
}

TEST(WrongSweeps, FieldsOfDifferentPointsDoNotMeet) {
  EXPECT_THAT(ProblemsOf("axis { name: \"a\" point { name: \"b\" set: \"moe.top_k=1\" }"
                         "  point { name: \"c\" set: \"moe.top_k=2\" } }"
                         "axis { field: \"moe.balance_loss\" values: [\"{ scope: SEQUENCE }\"] }"
                         "axis { field: \"moe.balance_loss.coefficient\" values: [0, 1] }"),
              ElementsAre());
}

TEST(WrongSweeps, EveryWrongValueOfEveryAxis) {
  EXPECT_THAT(ProblemsOf("axis { field: \"steps\" values: [0, 10, x] }\n"
                         "axis { field: \"moe.top_k\" values: [-1, 2,\n 2.5] }\n"
                         "axis { zip { field: \"seed\" values: [1, z] }"
                         "  zip { field: \"model.hidden\" values: [0, 8] } }\n"),
              ElementsAre(HasSubstr("2:32: axis steps: steps is 0, but must be"),
                          HasSubstr("2:39: axis steps: steps: expected an integer, found x"),
                          HasSubstr("3:36: axis top_k: moe.top_k is -1, but must be"),
                          HasSubstr("4:2: axis top_k: moe.top_k: expected an integer, found 2.5"),
                          HasSubstr("5:40: axis seed: seed: expected an integer, found z"),
                          HasSubstr("5:83: axis seed: model.hidden is 0, but must be")));
  EXPECT_THAT(
      ProblemsOf("axis { field: \"steps\" range { from: -90 to: 9 step: 1 } }"),
      ElementsAre(HasSubstr("steps is -90"), HasSubstr("steps is -89"), HasSubstr("steps is -88"),
                  HasSubstr("steps is -87"), HasSubstr("steps is -86"),
                  HasSubstr("2:23: axis steps: the other 95 values of the range were not")));
}

TEST(WrongSweeps, TheCommandLineWinsOverTheFile) {
  EXPECT_THAT(ProblemsOf("seeds: 1 set: \"steps=3\"", {"steps=4", "steps=5"}), ElementsAre());
}

TEST(WrongSweeps, AllAtOnce) {
  EXPECT_THAT(
      ProblemsOf("nmae: \"x\"\naxis { field: \"moe.topk\" values: 1 }\nseeds: -1", {"stesp=3"}),
      ElementsAre(HasSubstr("2:1: no field 'nmae'"),
                  HasSubstr("sweep.textproto:3:8: axis topk: no field 'topk'"),
                  HasSubstr("4:8: seeds[0] is -1"),
                  HasSubstr("--set #1 'stesp=3': no field 'stesp' in a configuration; did you "
                            "mean steps?")));
}

TEST(WrongSweeps, SkipsAreJudgedBesideAxesThatAreWrong) {
  const std::string skips = "skip { when: \"topk=3\" when: \"seed=2\" when: \"sede=1\" }";
  EXPECT_THAT(ProblemsOf("seeds: 1\naxis { field: \"moe.topk\" values: 1 }\n" + skips),
              testing::UnorderedElementsAre(
                  HasSubstr("axis topk: no field 'topk'"), HasSubstr("axis seed has no point '2'"),
                  HasSubstr("no axis is called 'sede'; did you mean seed?")));
  // Every name once, also of an axis that is wrong in another way.
  EXPECT_THAT(ProblemsOf("seeds: 1\naxis { field: \"steps\" values: [9, 0] }\n"
                         "axis { field: \"moe.topk\" values: 1 }\nskip { when: \"width=3\" }"),
              ElementsAre(HasSubstr("3:35: axis steps: steps is 0"), HasSubstr("4:8: axis topk"),
                          testing::EndsWith("no axis is called 'width'; there are steps, topk, "
                                            "seed")));
  // What has no name may be what was meant.
  EXPECT_THAT(ProblemsOf("seeds: 1\naxis { values: 1 }\nskip { when: \"width=3\" }"),
              ElementsAre(HasSubstr("exactly one of field, zip and point")));
}

// Half-written in every way: always a report, never a crash.
TEST(WrongSweeps, EveryTruncationIsReportedOrValid) {
  const std::string text =
      "name: \"n\" set: [\"moe.capacity_factor=2\"] seeds: [1, 2]\n"
      "axis { field: \"steps\" range { from: 9 to: 1 step: 4 } }\n"
      "axis { zip { field: \"moe.top_k\" values: [1, 2] } zip { field: \"moe.expert_width\" "
      "values: [8, 4] } }\n"
      "axis { name: \"row\" point { name: \"a\" } point { name: \"b\" config: \"row.textproto\" "
      "set: \"model.hidden=96\" } }\n"
      "skip { when: \"row=a\" when: \"steps!=5\" } trial { ranks: 2 }";
  EXPECT_THAT(ProblemsOf(text), ElementsAre());
  int wrong = 0;
  for (size_t size = 0; size < text.size(); ++size) {
    const std::vector<std::string> problems = ProblemsOf(text.substr(0, size));
    wrong += problems.empty() ? 0 : 1;
    for (const std::string& problem : problems) EXPECT_THAT(problem, HasSubstr("sweep.textproto:"));
  }
  EXPECT_GT(wrong, 200);
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
