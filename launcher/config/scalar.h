#ifndef EQUIPOISE_LAUNCHER_CONFIG_SCALAR_H_
#define EQUIPOISE_LAUNCHER_CONFIG_SCALAR_H_

#include <google/protobuf/message.h>

#include <optional>
#include <string>

#include "launcher/config/syntax.h"

namespace equipoise::launcher {

// Sets `field` of `message` to `value`, or adds it when the field is repeated. Returns what is
// wrong instead, and then leaves the message alone: another type, an unknown name, NaN, an
// infinity, or a number outside the field's range. The text goes behind the field's path: ":
// expected an integer, found x", " is 0, but must be at least 1". REQUIRES: `field` is not a
// message.
std::optional<std::string> SetScalar(const SyntaxValue& value,
                                     const google::protobuf::FieldDescriptor& field,
                                     google::protobuf::Message& message);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_SCALAR_H_
