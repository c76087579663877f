#ifndef EQUIPOISE_LAUNCHER_CONFIG_PRINTER_H_
#define EQUIPOISE_LAUNCHER_CONFIG_PRINTER_H_

#include <google/protobuf/message.h>

#include <string>

namespace equipoise::launcher {

// The message in text format, complete: every field with its default, in the order of the schema,
// lists of numbers on one line. Left out are empty lists and members of a oneof that were not
// chosen. Reads back as an equal configuration, whose text is the same.
std::string ResolvedText(const google::protobuf::Message& message);

// The value of a field that is no block, as it is written in a file; a list in brackets.
std::string ValueText(const google::protobuf::Message& message,
                      const google::protobuf::FieldDescriptor& field);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_PRINTER_H_
