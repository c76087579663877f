#include "launcher/config/rules.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "configs/schema/annotations.pb.h"
#include "launcher/config/rule_context.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Reports required fields below `message` that are not set; blocks nobody wrote are looked into
// too, but not members of a oneof that was not chosen.
void CheckRequired(const Message& message, const std::string& path, const RuleContext& context) {
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    const std::string field_path = JoinPath(path, field.name());
    if (field.is_repeated()) {
      if (field.message_type() == nullptr) continue;
      for (int j = 0; j < reflection.FieldSize(message, &field); ++j) {
        CheckRequired(reflection.GetRepeatedMessage(message, &field, j),
                      absl::StrCat(field_path, "[", j, "]"), context);
      }
    } else if (field.message_type() != nullptr) {
      if (field.containing_oneof() != nullptr && !reflection.HasField(message, &field)) continue;
      CheckRequired(reflection.GetMessage(message, &field), field_path, context);
    } else if (field.options().GetExtension(config::required_set) &&
               !reflection.HasField(message, &field) && context.Usable({field_path.c_str()})) {
      context.Fail(
          {field_path},
          absl::StrCat(field_path, " must be set: ", field.options().GetExtension(config::doc)));
    }
  }
}

}  // namespace

bool RuleContext::Usable(std::initializer_list<const char*> paths) const {
  for (const char* path : paths) {
    if (provenance.IsBroken(path)) return false;
    if (problems.has_syntax_problems() && !provenance.IsWritten(path)) return false;
  }
  return true;
}

void RuleContext::Fail(const std::vector<std::string>& paths, std::string what) const {
  const std::string& last = *std::max_element(paths.begin(), paths.end(),
                                              [&](const std::string& a, const std::string& b) {
                                                return provenance.TextOf(a) < provenance.TextOf(b);
                                              });
  problems.Add(provenance.Find(last), std::move(what));
}

void CheckRules(const config::RunConfig& config, const Provenance& provenance,
                std::optional<int> num_ranks, ProblemList& problems) {
  const RuleContext context{config, provenance, num_ranks, problems};
  CheckRequired(config, "", context);
  CheckModelRules(context);
  CheckMoeRules(context);
  CheckLayoutRules(context);
  CheckBatchRules(context);
  CheckOptimizerRules(context);
  CheckDataRules(context);
  CheckRunRules(context);
}

}  // namespace equipoise::launcher
