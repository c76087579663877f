// Where a problem is told: at a line, or an override, that made it. Settings of all routers, and of
// what is around them, are laid over a configuration that is valid without them.

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "configs/schema/annotations.pb.h"
#include "configs/schema/run.pb.h"
#include "launcher/config/field_info.h"
#include "tests/launcher/config/config_text.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

struct Setting {
  std::string path;
  std::string value;
  std::string text() const { return absl::StrCat(path, "=", value); }
};

// Values that the schema allows, and that rules may not: few, for all pairs are tried.
std::vector<std::string> ValuesOf(const FieldDescriptor& field) {
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) return {"false", "true"};
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) return ValueNames(*field.enum_type());
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) return {};
  const auto& range = field.options().GetExtension(config::range);
  const bool is_whole = field.cpp_type() != FieldDescriptor::CPPTYPE_DOUBLE;
  const std::set<double> candidates =
      is_whole ? std::set<double>{0, 1, 3, 9} : std::set<double>{-0.5, 0, range.max()};
  std::vector<std::string> values;
  for (const double value : candidates) {
    if (!RangeViolation(field, value).has_value()) values.push_back(NumberText(value));
  }
  return values;
}

void CollectSettings(const Descriptor& type, const std::string& path,
                     std::vector<Setting>& settings) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::string field_path = absl::StrCat(path, path.empty() ? "" : ".", field.name());
    if (field.is_repeated() || field.name() == "router") continue;
    if (field.message_type() != nullptr) {
      CollectSettings(*field.message_type(), field_path, settings);
      continue;
    }
    for (const std::string& value : ValuesOf(field)) settings.push_back({field_path, value});
  }
}

const Descriptor& Routers() {
  return *config::Moe::descriptor()->FindFieldByName("router")->message_type();
}

// ValidText() with other fields in its block moe, which begins at line 14: each on a line of its
// own, the blocks around them on lines of theirs.
class MoeText {
 public:
  explicit MoeText(const std::string& router) {
    Set({"moe.num_experts", "8"});
    Set({"moe.top_k", router == "switch" ? "1" : "2"});
    Set({"moe.expert_width", "32"});
    Set({"moe.balance_loss.coefficient", "0"});
    fields_[absl::StrCat("moe.router.", router)] = "{}";
  }

  void Set(const Setting& setting) { fields_[setting.path] = setting.value; }

  std::string ToString() {
    const std::vector<std::string> valid = absl::StrSplit(ValidText(), '\n');
    lines_.assign(valid.begin(), valid.begin() + 13);
    Print("moe", fields_);
    lines_.insert(lines_.end(), valid.begin() + 19, valid.end());
    return absl::StrJoin(lines_, "\n");
  }

  // Whether line `line` of the text opens a block and has no value.
  bool IsBlock(int line) const {
    const std::string& text = lines_[static_cast<size_t>(line) - 1];
    return absl::EndsWith(text, "{") || absl::EndsWith(text, "{}");
  }

 private:
  using Fields = std::map<std::string, std::string>;

  // The fields below `path`.
  void Print(const std::string& path, const Fields& fields) {
    const std::string prefix = path + ".";
    lines_.push_back(path.substr(path.rfind('.') + 1) + " {");
    std::set<std::string> blocks;
    for (const auto& [field, value] : fields) {
      if (!absl::StartsWith(field, prefix)) continue;
      const std::string rest = field.substr(prefix.size());
      const bool is_leaf = !absl::StrContains(rest, '.') && value != "{}";
      if (is_leaf) lines_.push_back(absl::StrCat(rest, ": ", value));
      if (!is_leaf) blocks.insert(prefix + rest.substr(0, rest.find('.')));
    }
    for (const std::string& block : blocks) Print(block, fields);
    lines_.push_back("}");
  }

  Fields fields_;
  std::vector<std::string> lines_;
};

// Calls `visit` with every setting alone, and with one of `firsts` before one of another field.
template <typename Visit>
void ForEachPair(const std::vector<Setting>& firsts, const std::vector<Setting>& seconds,
                 Visit visit) {
  for (const Setting& second : seconds) {
    visit(std::vector<Setting>{second});
    for (const Setting& first : firsts) {
      if (first.path != second.path) visit(std::vector<Setting>{first, second});
    }
  }
}

class ProblemPlaces : public testing::TestWithParam<std::string> {
 protected:
  std::vector<Setting> OfRouter() const {
    std::vector<Setting> settings;
    CollectSettings(*Routers().FindFieldByName(GetParam())->message_type(),
                    absl::StrCat("moe.router.", GetParam()), settings);
    return settings;
  }

  // Those of the router, and the rest of the block moe.
  std::vector<Setting> OfMoe() const {
    std::vector<Setting> settings = OfRouter();
    CollectSettings(*config::Moe::descriptor(), "moe", settings);
    return settings;
  }

  // Fails for the first problem of each kind.
  void Tell(const std::vector<Setting>& settings, const std::string& problem) {
    if (!told_.insert(problem.substr(0, problem.find(" is "))).second) return;
    ADD_FAILURE() << settings.front().text() << " " << settings.back().text() << ": " << problem;
  }

  int num_problems_ = 0;
  std::set<std::string> told_;
};

TEST_P(ProblemPlaces, AProblemOfAnOverrideIsNotToldAtTheFile) {
  const std::string path = WriteConfig("places.textproto", MoeText(GetParam()).ToString());
  ASSERT_TRUE(Load(path).ok()) << Load(path).status();
  ForEachPair(OfRouter(), OfMoe(), [&](const std::vector<Setting>& settings) {
    std::vector<std::string> overrides;
    for (const Setting& setting : settings) overrides.push_back(setting.text());
    const auto loaded = Load(path, overrides);
    if (loaded.ok()) return;
    for (const std::string& problem : Problems(loaded.status())) {
      ++num_problems_;
      if (!absl::StartsWith(problem, "--set #")) Tell(settings, problem);
    }
  });
  EXPECT_GT(num_problems_, 20);
}

TEST_P(ProblemPlaces, AProblemOfAFieldIsNotToldAtTheBlockAroundIt) {
  const auto visit = [&](const std::vector<Setting>& settings) {
    MoeText text(GetParam());
    for (const Setting& setting : settings) text.Set(setting);
    const auto loaded = Load(WriteConfig("places.textproto", text.ToString()));
    if (loaded.ok()) return;
    for (const std::string& problem : Problems(loaded.status())) {
      ++num_problems_;
      int line = 0;
      const std::vector<std::string> parts = absl::StrSplit(problem, ':');
      ASSERT_TRUE(parts.size() > 3 && absl::SimpleAtoi(parts[1], &line)) << problem;
      if (text.IsBlock(line)) Tell(settings, problem);
    }
  };
  ForEachPair(OfRouter(), OfRouter(), visit);
  ForEachPair({}, OfMoe(), visit);
  EXPECT_GT(num_problems_, 20);
}

INSTANTIATE_TEST_SUITE_P(AllRouters, ProblemPlaces, testing::ValuesIn(FieldNames(Routers())),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace equipoise::launcher
