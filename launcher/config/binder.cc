#include "launcher/config/binder.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "launcher/config/field_info.h"
#include "launcher/config/printer.h"
#include "launcher/config/scalar.h"
#include "launcher/config/suggest.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;

std::string Element(const std::string& path, int index) {
  return absl::StrCat(path, "[", index, "]");
}

// Whether any field at all is given another value than its default.
bool HasSettings(const google::protobuf::Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const google::protobuf::Message& defaults =
      *google::protobuf::MessageFactory::generated_factory()->GetPrototype(message.GetDescriptor());
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  return std::any_of(fields.begin(), fields.end(), [&](const FieldDescriptor* field) {
    if (field->is_repeated()) return true;
    if (field->message_type() != nullptr) return HasSettings(reflection.GetMessage(message, field));
    return ValueText(message, *field) != ValueText(defaults, *field);
  });
}

// Gives quotes to text that stands without them, so that a shell need not be told to keep them.
SyntaxValue OverrideValue(absl::string_view text, const FieldDescriptor& field, int source,
                          ProblemList& problems) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  const bool is_text = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  const bool quoted = absl::StartsWith(trimmed, "\"") || absl::StartsWith(trimmed, "'");
  const bool list = field.is_repeated() && absl::StartsWith(trimmed, "[");
  if (!is_text || quoted || list) return ParseValue(trimmed, source, problems);
  SyntaxValue value;
  value.kind = SyntaxValue::Kind::kString;
  value.where.source = source;
  value.text = std::string(trimmed);
  return value;
}

}  // namespace

void Binder::BindFile(const SyntaxValue& file) {
  provenance_.BeginText();
  BindFields(file.fields, "", root_);
}

void Binder::BindOverride(absl::string_view path, absl::string_view text, int source) {
  provenance_.BeginText();
  Location where;
  where.source = source;
  Message* holder = nullptr;
  const FieldDescriptor* field = FindField(path, where, &holder);
  if (field == nullptr) return;
  const SyntaxField syntax{field->name(), where, OverrideValue(text, *field, source, problems_)};
  const std::string name(path);
  if (field->is_repeated()) {
    provenance_.Erase(name);
    holder->GetReflection()->ClearField(holder, field);
  }
  BindField(syntax, *field, name, *holder);
}

bool Binder::CanOverride(absl::string_view path, const Location& where) {
  Message* holder = nullptr;
  return FindField(path, where, &holder) != nullptr;
}

const FieldDescriptor* Binder::FindField(absl::string_view path, const Location& where,
                                         Message** holder) {
  Message* message = &root_;
  std::string prefix;
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  for (size_t i = 0; i < names.size(); ++i) {
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(names[i]);
    if (field == nullptr) {
      if (IsElement(names[i], prefix, where, *message)) return nullptr;
      ReportUnknown(names[i], where, prefix, *message);
      return nullptr;
    }
    prefix = JoinPath(prefix, names[i]);
    if (i + 1 == names.size()) {
      *holder = message;
      return field;
    }
    if (field->message_type() == nullptr) {
      problems_.Add(where, absl::StrCat(prefix, " is ", Expectation(*field), ": it has no fields"));
      return nullptr;
    }
    if (field->is_repeated()) {
      ReportPartOfList(*field, prefix, where);
      return nullptr;
    }
    if (WouldDropSettings(*message, *field, prefix, where)) return nullptr;
    DropOtherMembers(*field, prefix);
    provenance_.Write(prefix, where);
    message = message->GetReflection()->MutableMessage(message, field);
  }
  return nullptr;
}

bool Binder::IsElement(const std::string& name, const std::string& path, const Location& where,
                       const Message& message) {
  const size_t bracket = name.find('[');
  if (bracket == std::string::npos) return false;
  const FieldDescriptor* list = message.GetDescriptor()->FindFieldByName(name.substr(0, bracket));
  if (list == nullptr || !list->is_repeated()) return false;
  ReportPartOfList(*list, JoinPath(path, list->name()), where);
  return true;
}

void Binder::ReportPartOfList(const Field& list, const std::string& path, const Location& where) {
  const bool blocks = list.message_type() != nullptr;
  problems_.Add(where,
                absl::StrCat(path, " is a list, and no part of a list can be set alone: set ",
                             "it whole, as in ", path, blocks ? "=[{...}, {...}]" : "=[...]"));
}

void Binder::BindFields(const std::vector<SyntaxField>& fields, const std::string& path,
                        Message& message) {
  std::map<const FieldDescriptor*, Location> seen;
  std::map<const OneofDescriptor*, const FieldDescriptor*> members;
  for (const SyntaxField& syntax : fields) {
    const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(syntax.name);
    if (field == nullptr) {
      ReportUnknown(syntax.name, syntax.where, path, message);
      continue;
    }
    const std::string field_path = JoinPath(path, syntax.name);
    const bool first = seen.emplace(field, syntax.where).second;
    if (!first && !field->is_repeated()) {
      problems_.Add(syntax.where, absl::StrCat(field_path, " is given twice: first at ",
                                               problems_.Describe(seen.at(field))));
      continue;
    }
    if (first && field->is_repeated()) {
      provenance_.Erase(field_path);
      message.GetReflection()->ClearField(&message, field);
    }
    if (const OneofDescriptor* oneof = field->containing_oneof()) {
      const FieldDescriptor* chosen = members.emplace(oneof, field).first->second;
      if (chosen != field) {
        problems_.Add(syntax.where,
                      absl::StrCat(field_path, " excludes ", JoinPath(path, chosen->name()), " at ",
                                   problems_.Describe(seen.at(chosen)), ": choose one"));
        continue;
      }
    }
    BindField(syntax, *field, field_path, message);
  }
}

void Binder::BindField(const SyntaxField& syntax, const FieldDescriptor& field,
                       const std::string& path, Message& message) {
  if (syntax.value.kind == SyntaxValue::Kind::kBroken) {
    provenance_.Write(path, syntax.where);
    provenance_.MarkBroken(path);
  } else if (field.is_repeated()) {
    BindList(syntax.value, syntax.where, field, path, message);
  } else {
    provenance_.Write(path, syntax.where);
    BindSingle(syntax.value, syntax.where, field, path, message);
  }
}

void Binder::BindSingle(const SyntaxValue& value, const Location& where,
                        const FieldDescriptor& field, const std::string& path, Message& message) {
  const Reflection& reflection = *message.GetReflection();
  DropOtherMembers(field, path);
  if (field.message_type() == nullptr) {
    if (const std::optional<std::string> problem = SetScalar(value, field, message)) {
      problems_.Add(value.where, absl::StrCat(path, *problem));
      provenance_.MarkBroken(path);
    } else {
      // A later text may repair what an earlier one broke; the earlier report stays.
      provenance_.Erase(path);
      provenance_.Write(path, where);
    }
    return;
  }
  if (value.kind != SyntaxValue::Kind::kBlock) {
    problems_.Add(value.where,
                  absl::StrCat(path, ": expected a block: ", field.name(), " { ... } with ",
                               "some of ", absl::StrJoin(FieldNames(*field.message_type()), ", ")));
    provenance_.MarkBroken(path);
    return;
  }
  Message* block = field.is_repeated() ? reflection.AddMessage(&message, &field)
                                       : reflection.MutableMessage(&message, &field);
  BindFields(value.fields, path, *block);
}

void Binder::BindList(const SyntaxValue& value, const Location& where, const FieldDescriptor& field,
                      const std::string& path, Message& message) {
  if (!provenance_.IsWritten(path)) provenance_.Write(path, where);
  auto add = [&](const SyntaxValue& item, const Location& place) {
    const int index = message.GetReflection()->FieldSize(message, &field);
    const std::string element = Element(path, index);
    provenance_.Write(element, place);
    BindSingle(item, place, field, element, message);
    // An element that does not count would shift the others, and make the list look shorter.
    if (provenance_.IsBroken(element)) provenance_.MarkBroken(path);
  };
  if (value.kind != SyntaxValue::Kind::kList) return add(value, where);
  for (const SyntaxValue& item : value.items) add(item, item.where);
}

void Binder::DropOtherMembers(const FieldDescriptor& field, const std::string& path) {
  const OneofDescriptor* oneof = field.containing_oneof();
  if (oneof == nullptr) return;
  for (int i = 0; i < oneof->field_count(); ++i) {
    if (oneof->field(i) == &field) continue;
    provenance_.Erase(JoinPath(std::string(ParentPath(path)), oneof->field(i)->name()));
  }
}

bool Binder::WouldDropSettings(const Message& message, const Field& field, const std::string& path,
                               const Location& where) {
  const OneofDescriptor* oneof = field.containing_oneof();
  if (oneof == nullptr) return false;
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* chosen = reflection.GetOneofFieldDescriptor(message, oneof);
  if (chosen == nullptr || chosen == &field || chosen->message_type() == nullptr) return false;
  if (!HasSettings(reflection.GetMessage(message, chosen))) return false;
  const std::string dropped = JoinPath(std::string(ParentPath(path)), chosen->name());
  const Location place = provenance_.Find(dropped);
  if (!problems_.is_file(place)) return false;  // ChoiceWatch has more to say
  problems_.Add(where, absl::StrCat("this would drop ", dropped, " with its settings, at ",
                                    problems_.Describe(place),
                                    "; to do so, set the whole block: ", path, "={ ... }"));
  return true;
}

bool Binder::KeepsChoices(const std::string& candidate, const std::string& path) const {
  const Message* message = &root_;
  std::string prefix;
  for (const absl::string_view name : absl::StrSplit(candidate, '.')) {
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(std::string(name));
    prefix = JoinPath(prefix, name);
    const bool on_the_way = path == prefix || absl::StartsWith(path, absl::StrCat(prefix, "."));
    if (field->containing_oneof() != nullptr && !on_the_way &&
        !message->GetReflection()->HasField(*message, field)) {
      return false;
    }
    if (field->message_type() == nullptr || field->is_repeated()) return true;
    message = &message->GetReflection()->GetMessage(*message, field);
  }
  return true;
}

void Binder::ReportUnknown(const std::string& name, const Location& where, const std::string& path,
                           const Message& message) {
  const std::vector<std::string> known = FieldNames(*message.GetDescriptor());
  const std::string place = path.empty() ? what_ : path;
  const std::string what = absl::StrCat("no field '", name, "' in ", place);
  const std::string nearest = Nearest(name, known);
  if (!nearest.empty()) {
    problems_.Add(where, absl::StrCat(what, "; did you mean ", nearest, "?"));
    // Probably meant, so it should not be called missing as well.
    provenance_.MarkBroken(JoinPath(path, nearest));
    return;
  }
  for (const std::string& elsewhere : PathsOfName(*root_.GetDescriptor(), name)) {
    if (!KeepsChoices(elsewhere, path)) continue;
    const bool is_top = elsewhere.find('.') == std::string::npos;
    problems_.Add(where,
                  absl::StrCat(what, is_top ? "; it belongs to the top level: " : "; did you mean ",
                               elsewhere, is_top ? "" : "?"));
    provenance_.MarkBroken(elsewhere);
    return;
  }
  problems_.Add(where, known.empty() ? absl::StrCat(what, ", which has no fields")
                                     : absl::StrCat(what, "; it has ", absl::StrJoin(known, ", ")));
}

}  // namespace equipoise::launcher
