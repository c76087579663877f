#include "launcher/config/scalar.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "configs/schema/annotations.pb.h"
#include "launcher/config/field_info.h"
#include "launcher/config/suggest.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::io::Tokenizer;
using Kind = SyntaxValue::Kind;
using Problem = std::optional<std::string>;

std::string Found(const SyntaxValue& value) {
  switch (value.kind) {
    case Kind::kString:
      return absl::StrCat("the text \"", value.text, "\"");
    case Kind::kBlock:
      return "a block";
    case Kind::kList:
      return "a list";
    default:
      return absl::StrCat(value.negative ? "-" : "", value.text);
  }
}

Problem WrongType(const SyntaxValue& value, const FieldDescriptor& field) {
  return absl::StrCat(": expected ", Expectation(field), ", found ", Found(value));
}

Problem CheckRange(const FieldDescriptor& field, double value, const std::string& text) {
  const Problem violation = RangeViolation(field, value);
  if (!violation.has_value()) return std::nullopt;
  return absl::StrCat(" is ", text, ", but ", *violation);
}

// Largest magnitude of an integer of the field's type; one more is legal below zero.
uint64_t LargestInteger(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_INT32
             ? static_cast<uint64_t>(std::numeric_limits<int32_t>::max())
             : static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
}

Problem SetInteger(const SyntaxValue& value, const FieldDescriptor& field, Message& message) {
  if (value.kind != Kind::kInteger) return WrongType(value, field);
  const std::string written = Found(value);
  if (value.text.size() > 1 && value.text[0] == '0' && absl::ascii_isdigit(value.text[1])) {
    return absl::StrCat(": ", written,
                        " would be read as octal; write it without the leading zero");
  }
  uint64_t magnitude = 0;
  if (!Tokenizer::ParseInteger(value.text, LargestInteger(field), &magnitude)) {
    const std::string range = RangeText(field);
    return absl::StrCat(" is ", written, ", which does not fit",
                        range.empty() ? "" : absl::StrCat("; it must be ", range));
  }
  const int64_t number =
      value.negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
  if (Problem problem = CheckRange(field, static_cast<double>(number), written)) return problem;
  const Reflection& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
    const int32_t narrow = static_cast<int32_t>(number);
    field.is_repeated() ? reflection.AddInt32(&message, &field, narrow)
                        : reflection.SetInt32(&message, &field, narrow);
  } else {
    field.is_repeated() ? reflection.AddInt64(&message, &field, number)
                        : reflection.SetInt64(&message, &field, number);
  }
  return std::nullopt;
}

// The value of a number, which may be NaN or infinite; nothing when it is none.
std::optional<double> ReadNumber(const SyntaxValue& value) {
  double number = 0.0;
  uint64_t integer = 0;
  const std::string name = absl::AsciiStrToLower(value.text);
  if (value.kind == Kind::kInteger) {
    constexpr uint64_t kAny = std::numeric_limits<uint64_t>::max();
    // Too large for an integer: still a number.
    number = Tokenizer::ParseInteger(value.text, kAny, &integer)
                 ? static_cast<double>(integer)
                 : Tokenizer::ParseFloat(value.text);
  } else if (value.kind == Kind::kFloat) {
    number = Tokenizer::ParseFloat(value.text);
  } else if (value.kind == Kind::kName && (name == "inf" || name == "infinity")) {
    number = std::numeric_limits<double>::infinity();
  } else if (value.kind == Kind::kName && name == "nan") {
    number = std::numeric_limits<double>::quiet_NaN();
  } else {
    return std::nullopt;
  }
  return value.negative ? -number : number;
}

Problem SetDouble(const SyntaxValue& value, const FieldDescriptor& field, Message& message) {
  const std::optional<double> number = ReadNumber(value);
  if (!number.has_value()) return WrongType(value, field);
  if (!std::isfinite(*number)) {
    return absl::StrCat(" is ", Found(value), ", but must be a finite number");
  }
  if (Problem problem = CheckRange(field, *number, Found(value))) return problem;
  const Reflection& reflection = *message.GetReflection();
  field.is_repeated() ? reflection.AddDouble(&message, &field, *number)
                      : reflection.SetDouble(&message, &field, *number);
  return std::nullopt;
}

Problem SetBool(const SyntaxValue& value, const FieldDescriptor& field, Message& message) {
  const bool is_name = value.kind == Kind::kName && !value.negative;
  if (!is_name || (value.text != "true" && value.text != "false")) {
    const bool means_true = value.text == "1" || absl::AsciiStrToLower(value.text) == "yes";
    const bool means_false = value.text == "0" || absl::AsciiStrToLower(value.text) == "no";
    const std::string hint = means_true    ? std::string("; did you mean true?")
                             : means_false ? std::string("; did you mean false?")
                                           : DidYouMean(value.text, {"true", "false"});
    return absl::StrCat(*WrongType(value, field), hint);
  }
  const Reflection& reflection = *message.GetReflection();
  field.is_repeated() ? reflection.AddBool(&message, &field, value.text == "true")
                      : reflection.SetBool(&message, &field, value.text == "true");
  return std::nullopt;
}

// Whether the field takes a number or a name as text.
bool IsLiteral(const SyntaxValue& value, const FieldDescriptor& field) {
  const bool bare =
      value.kind == Kind::kInteger || value.kind == Kind::kFloat || value.kind == Kind::kName;
  return bare && field.options().GetExtension(config::literal);
}

Problem SetString(const SyntaxValue& value, const FieldDescriptor& field, Message& message) {
  const std::string text = value.kind == Kind::kString ? value.text : Found(value);
  if (value.kind != Kind::kString && !IsLiteral(value, field)) {
    const bool is_word = value.kind == Kind::kName || value.kind == Kind::kInteger;
    return absl::StrCat(*WrongType(value, field),
                        is_word ? absl::StrCat("; did you mean \"", value.text, "\"?") : "");
  }
  const Reflection& reflection = *message.GetReflection();
  field.is_repeated() ? reflection.AddString(&message, &field, text)
                      : reflection.SetString(&message, &field, text);
  return std::nullopt;
}

Problem SetEnum(const SyntaxValue& value, const FieldDescriptor& field, Message& message) {
  const bool is_name = value.kind == Kind::kName && !value.negative;
  const auto* number = is_name ? field.enum_type()->FindValueByName(value.text) : nullptr;
  if (number == nullptr) {
    return absl::StrCat(*WrongType(value, field),
                        DidYouMean(value.text, ValueNames(*field.enum_type())));
  }
  const Reflection& reflection = *message.GetReflection();
  field.is_repeated() ? reflection.AddEnum(&message, &field, number)
                      : reflection.SetEnum(&message, &field, number);
  return std::nullopt;
}

}  // namespace

Problem SetScalar(const SyntaxValue& value, const FieldDescriptor& field, Message& message) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return SetInteger(value, field, message);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return SetDouble(value, field, message);
    case FieldDescriptor::CPPTYPE_BOOL:
      return SetBool(value, field, message);
    case FieldDescriptor::CPPTYPE_STRING:
      return SetString(value, field, message);
    case FieldDescriptor::CPPTYPE_ENUM:
      return SetEnum(value, field, message);
    default:
      return WrongType(value, field);
  }
}

}  // namespace equipoise::launcher
