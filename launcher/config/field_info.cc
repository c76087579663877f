#include "launcher/config/field_info.h"

#include <array>
#include <charconv>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "configs/schema/annotations.pb.h"
#include "launcher/config/provenance.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

// The parts of a range, as words.
std::vector<std::string> Bounds(const FieldDescriptor& field) {
  const config::Range& range = field.options().GetExtension(config::range);
  std::vector<std::string> bounds;
  if (range.has_min()) bounds.push_back(absl::StrCat("at least ", NumberText(range.min())));
  if (range.has_above()) bounds.push_back(absl::StrCat("more than ", NumberText(range.above())));
  if (range.has_max()) bounds.push_back(absl::StrCat("at most ", NumberText(range.max())));
  if (range.has_below()) bounds.push_back(absl::StrCat("less than ", NumberText(range.below())));
  return bounds;
}

void CollectPaths(const Descriptor& type, const std::string& prefix, const std::string& name,
                  std::vector<std::string>& paths) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::string path = JoinPath(prefix, field.name());
    if (field.name() == name) paths.push_back(path);
    if (field.message_type() != nullptr) CollectPaths(*field.message_type(), path, name, paths);
  }
}

}  // namespace

std::vector<std::string> FieldNames(const Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return names;
}

std::vector<std::string> ValueNames(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) names.push_back(type.value(i)->name());
  return names;
}

std::string Expectation(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      return field.options().GetExtension(config::literal) ? "a number, a name or text in quotes"
                                                           : "text in quotes";
    case FieldDescriptor::CPPTYPE_ENUM:
      return absl::StrCat("one of ", absl::StrJoin(ValueNames(*field.enum_type()), ", "));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "a block in { }";
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return "a number";
    default:
      return "an integer";
  }
}

std::string RangeText(const FieldDescriptor& field) {
  return absl::StrJoin(Bounds(field), " and ");
}

std::optional<std::string> RangeViolation(const FieldDescriptor& field, double value) {
  if (!field.options().HasExtension(config::range)) return std::nullopt;
  const config::Range& range = field.options().GetExtension(config::range);
  const bool legal = (!range.has_min() || value >= range.min()) &&
                     (!range.has_max() || value <= range.max()) &&
                     (!range.has_above() || value > range.above()) &&
                     (!range.has_below() || value < range.below());
  if (legal) return std::nullopt;
  return absl::StrCat("must be ", RangeText(field));
}

std::string NumberText(double value) {
  std::array<char, 32> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  const std::string shortest(buffer.data(), result.ptr);
  // Whole numbers as such: 1000000, not 1e+06.
  constexpr double kExact = 9007199254740992.0;
  if (value > -kExact && value < kExact &&
      value == static_cast<double>(static_cast<int64_t>(value))) {
    return absl::StrCat(static_cast<int64_t>(value));
  }
  return shortest;
}

std::string DefaultText(const FieldDescriptor& field) {
  if (field.is_repeated() || field.options().GetExtension(config::required_set)) return "";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return field.default_value_bool() ? "true" : "false";
    case FieldDescriptor::CPPTYPE_STRING:
      return absl::StrCat("\"", absl::CEscape(field.default_value_string()), "\"");
    case FieldDescriptor::CPPTYPE_ENUM:
      return field.default_value_enum()->name();
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(field.default_value_int32());
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(field.default_value_int64());
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return NumberText(field.default_value_double());
    default:
      return "";
  }
}

std::vector<std::string> PathsOfName(const Descriptor& root, const std::string& name) {
  std::vector<std::string> paths;
  CollectPaths(root, "", name, paths);
  return paths;
}

}  // namespace equipoise::launcher
