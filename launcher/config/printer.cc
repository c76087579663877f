#include "launcher/config/printer.h"

#include <google/protobuf/descriptor.h>

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/check.h"
#include "launcher/config/field_info.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string Quoted(const std::string& text) {
  return absl::StrCat("\"", absl::CEscape(text), "\"");
}

std::string SingleText(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return NumberText(reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return Quoted(reflection.GetString(message, &field));
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.GetEnum(message, &field)->name();
    default:
      EQ_CHECK(false);
  }
}

std::string ElementText(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(reflection.GetRepeatedInt32(message, &field, index));
    case FieldDescriptor::CPPTYPE_STRING:
      return Quoted(reflection.GetRepeatedString(message, &field, index));
    default:
      EQ_CHECK(false);
  }
}

void PrintFields(const Message& message, int depth, std::string& out);

void PrintBlock(const Message& block, const FieldDescriptor& field, int depth, std::string& out) {
  const std::string indent(static_cast<size_t>(depth) * 2, ' ');
  std::string body;
  PrintFields(block, depth + 1, body);
  absl::StrAppend(&out, indent, field.name(), body.empty() ? " {" : " {\n", body,
                  body.empty() ? "" : indent, "}\n");
}

void PrintBlocks(const Message& message, const FieldDescriptor& field, int depth,
                 std::string& out) {
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    PrintBlock(reflection.GetRepeatedMessage(message, &field, i), field, depth, out);
  }
}

bool IsEmptyList(const Message& message, const FieldDescriptor& field) {
  return field.is_repeated() && message.GetReflection()->FieldSize(message, &field) == 0;
}

void PrintFields(const Message& message, int depth, std::string& out) {
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (IsEmptyList(message, field)) continue;
    if (field.is_repeated() && field.message_type() != nullptr) {
      PrintBlocks(message, field, depth, out);
    } else if (field.containing_oneof() != nullptr && !reflection.HasField(message, &field)) {
      continue;
    } else if (field.message_type() != nullptr) {
      PrintBlock(reflection.GetMessage(message, &field), field, depth, out);
    } else {
      absl::StrAppend(&out, std::string(static_cast<size_t>(depth) * 2, ' '), field.name(), ": ",
                      ValueText(message, field), "\n");
    }
  }
}

}  // namespace

std::string ValueText(const Message& message, const FieldDescriptor& field) {
  if (!field.is_repeated()) return SingleText(message, field);
  std::vector<std::string> elements;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    elements.push_back(ElementText(message, field, i));
  }
  return absl::StrCat("[", absl::StrJoin(elements, ", "), "]");
}

std::string ResolvedText(const Message& message) {
  std::string out;
  PrintFields(message, 0, out);
  return out;
}

}  // namespace equipoise::launcher
