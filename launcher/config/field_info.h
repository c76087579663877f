#ifndef EQUIPOISE_LAUNCHER_CONFIG_FIELD_INFO_H_
#define EQUIPOISE_LAUNCHER_CONFIG_FIELD_INFO_H_

#include <google/protobuf/descriptor.h>

#include <optional>
#include <string>
#include <vector>

namespace equipoise::launcher {

// What the schema says about fields, for messages and checks.

// Names of the fields of a message.
std::vector<std::string> FieldNames(const google::protobuf::Descriptor& type);
// Names of the values of an enumeration.
std::vector<std::string> ValueNames(const google::protobuf::EnumDescriptor& type);

// "an integer", "a number", "true or false", "text in quotes", "SOFTMAX or SIGMOID", "a block".
std::string Expectation(const google::protobuf::FieldDescriptor& field);

// "at least 1 and at most 4096"; "" without a range.
std::string RangeText(const google::protobuf::FieldDescriptor& field);
// Why `value` is outside the field's range ("must be at least 1"), or nothing.
std::optional<std::string> RangeViolation(const google::protobuf::FieldDescriptor& field,
                                          double value);

// The shortest text that reads back as `value`.
std::string NumberText(double value);
// The default, as it is written in a file; "" for a block, a list or a required field.
std::string DefaultText(const google::protobuf::FieldDescriptor& field);

// Full paths ("moe.top_k") of all fields called `name` in messages below `root`.
std::vector<std::string> PathsOfName(const google::protobuf::Descriptor& root,
                                     const std::string& name);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_FIELD_INFO_H_
