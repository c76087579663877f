#include "launcher/config/identity.h"

#include <google/protobuf/descriptor.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "configs/schema/annotations.pb.h"
#include "launcher/config/printer.h"
#include "launcher/config/provenance.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void Collect(const Message& message, const std::string& path, Experiment& experiment);

void CollectBlocks(const Message& message, const FieldDescriptor& field, const std::string& path,
                   Experiment& experiment) {
  const Reflection& reflection = *message.GetReflection();
  if (!field.is_repeated()) {
    return Collect(reflection.GetMessage(message, &field), path, experiment);
  }
  const int count = reflection.FieldSize(message, &field);
  experiment.fields[path] = absl::StrCat("a list of ", count);
  for (int i = 0; i < count; ++i) {
    Collect(reflection.GetRepeatedMessage(message, &field, i), absl::StrCat(path, "[", i, "]"),
            experiment);
  }
}

void Collect(const Message& message, const std::string& path, Experiment& experiment) {
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (!field.options().GetExtension(config::identity)) continue;
    if (field.containing_oneof() != nullptr) {
      if (!reflection.HasField(message, &field)) continue;
      experiment.fields[path] = field.name();
    }
    const std::string field_path = JoinPath(path, field.name());
    if (field.message_type() != nullptr) {
      CollectBlocks(message, field, field_path, experiment);
    } else {
      experiment.fields[field_path] = ValueText(message, field);
    }
  }
}

}  // namespace

Experiment IdentityOf(const Message& config) {
  Experiment experiment;
  Collect(config, "", experiment);
  return experiment;
}

}  // namespace equipoise::launcher
