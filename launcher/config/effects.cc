#include "launcher/config/effects.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "configs/schema/annotations.pb.h"
#include "core/base/check.h"
#include "launcher/config/printer.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::Reflection;

template <typename Values>
bool Contains(const Values& values, const std::string& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

const FieldDescriptor& FieldOf(const Message& message, const config::Condition& condition) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(condition.field());
  EQ_CHECK(field != nullptr) << "matters_if names " << condition.field() << " of "
                             << message.GetDescriptor()->name();
  return *field;
}

bool Holds(const config::Condition& condition, const Message& message) {
  const std::string value = ValueText(message, FieldOf(message, condition));
  const bool listed = condition.is().empty() || Contains(condition.is(), value);
  return listed && !Contains(condition.is_not(), value);
}

std::vector<config::Condition> ConditionsOf(const FieldDescriptor& field) {
  std::vector<config::Condition> conditions;
  for (int i = 0; i < field.options().ExtensionSize(config::matters_if); ++i) {
    conditions.push_back(field.options().GetExtension(config::matters_if, i));
  }
  return conditions;
}

bool HasNoEffect(const Message& message, const FieldDescriptor& field) {
  if (!message.GetReflection()->HasField(message, &field)) return false;
  const std::vector<config::Condition> conditions = ConditionsOf(field);
  const auto holds = [&](const config::Condition& condition) { return Holds(condition, message); };
  if (conditions.empty() || std::any_of(conditions.begin(), conditions.end(), holds)) return false;
  const Message& defaults =
      *MessageFactory::generated_factory()->GetPrototype(message.GetDescriptor());
  return ValueText(message, field) != ValueText(defaults, field);
}

void ReportField(const Message& message, const FieldDescriptor& field, const std::string& path,
                 const Provenance& provenance, ProblemList& problems) {
  const std::string field_path = JoinPath(path, field.name());
  std::vector<std::string> reasons;
  int decided = 0;  // the last text that wrote a field of the conditions
  for (const config::Condition& condition : ConditionsOf(field)) {
    const std::string other = JoinPath(path, condition.field());
    if (provenance.IsBroken(other)) return;
    decided = std::max(decided, provenance.TextOf(other));
    reasons.push_back(absl::StrCat(other, " is ", ValueText(message, FieldOf(message, condition))));
  }
  if (provenance.IsBroken(field_path) || decided > provenance.TextOf(field_path)) return;
  problems.Add(provenance.Find(field_path),
               absl::StrCat(field_path, " has no effect: ", absl::StrJoin(reasons, " and ")));
}

void Check(const Message& message, const std::string& path, const Provenance& provenance,
           ProblemList& problems) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) continue;  // no list's elements have conditions
    if (field->message_type() != nullptr) {
      Check(reflection.GetMessage(message, field), JoinPath(path, field->name()), provenance,
            problems);
    } else if (HasNoEffect(message, *field)) {
      ReportField(message, *field, path, provenance, problems);
    }
  }
}

}  // namespace

void CheckEffects(const Message& config, const Provenance& provenance, ProblemList& problems) {
  // What stands on a line that could not be read might give a field its effect.
  if (problems.has_syntax_problems()) return;
  Check(config, "", provenance, problems);
}

void ClearWithoutEffect(Message& config) {
  const Reflection& reflection = *config.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(config, &fields);
  std::vector<const FieldDescriptor*> idle;
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) continue;
    if (field->message_type() != nullptr) {
      ClearWithoutEffect(*reflection.MutableMessage(&config, field));
    } else if (HasNoEffect(config, *field)) {
      idle.push_back(field);
    }
  }
  for (const FieldDescriptor* field : idle) reflection.ClearField(&config, field);
}

}  // namespace equipoise::launcher
