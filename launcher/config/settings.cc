#include <google/protobuf/descriptor.h>

#include <string>

#include "core/base/check.h"
#include "launcher/config/provenance.h"
#include "launcher/config/translate.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void AddSettings(const Message& message, const std::string& prefix, routing::Settings& settings) {
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    EQ_CHECK(!field.is_repeated());
    const std::string name = JoinPath(prefix, field.name());
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        settings.Set(name, reflection.GetBool(message, &field));
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        settings.Set(name, int64_t{reflection.GetInt32(message, &field)});
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        settings.Set(name, int64_t{reflection.GetInt64(message, &field)});
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        settings.Set(name, reflection.GetDouble(message, &field));
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        settings.Set(name, reflection.GetString(message, &field));
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        settings.Set(name, reflection.GetEnum(message, &field)->name());
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        AddSettings(reflection.GetMessage(message, &field), name, settings);
        break;
      default:
        EQ_CHECK(false);
    }
  }
}

}  // namespace

routing::Settings ToSettings(const Message& message) {
  routing::Settings settings;
  AddSettings(message, "", settings);
  return settings;
}

}  // namespace equipoise::launcher
