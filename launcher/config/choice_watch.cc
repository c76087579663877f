#include "launcher/config/choice_watch.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Calls `visit` with the path of every member that a oneof of `message` has chosen.
void ForEachChoice(const Message& message, const std::string& path,
                   const std::function<void(const std::string&)>& visit) {
  const Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.is_repeated() || !message.GetReflection()->HasField(message, &field)) continue;
    const std::string field_path = JoinPath(path, field.name());
    if (field.containing_oneof() != nullptr) visit(field_path);
    if (field.message_type() != nullptr) {
      ForEachChoice(message.GetReflection()->GetMessage(message, &field), field_path, visit);
    }
  }
}

}  // namespace

void ChoiceWatch::Record(const Message& message, const Provenance& provenance, int num_texts_before,
                         const Location& where) {
  ForEachChoice(message, "", [&](const std::string& path) {
    if (provenance.TextOf(path) > num_texts_before) choices_.push_back({path, where});
  });
}

void ChoiceWatch::Report(const Message& message, const std::string& advice,
                         ProblemList& problems) const {
  std::vector<std::string> final_choices;
  ForEachChoice(message, "", [&](const std::string& path) { final_choices.push_back(path); });
  for (const Choice& choice : choices_) {
    const auto is_rival = [&](const std::string& path) {
      return path != choice.path && ParentPath(path) == ParentPath(choice.path);
    };
    const auto rival = std::find_if(final_choices.begin(), final_choices.end(), is_rival);
    if (rival == final_choices.end()) continue;
    problems.Add(choice.where, absl::StrCat(choice.path, ", which this chooses, is replaced by ",
                                            *rival, " later on: ", advice));
  }
}

}  // namespace equipoise::launcher
