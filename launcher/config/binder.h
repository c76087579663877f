#ifndef EQUIPOISE_LAUNCHER_CONFIG_BINDER_H_
#define EQUIPOISE_LAUNCHER_CONFIG_BINDER_H_

#include <google/protobuf/message.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "launcher/config/problem.h"
#include "launcher/config/provenance.h"
#include "launcher/config/syntax.h"

namespace equipoise::launcher {

// Lays texts over a message, one after the other: what comes later wins. Single values are
// replaced, blocks are merged field by field, lists are replaced whole, and naming one member of a
// oneof drops the other. Inside one text every single value may be given once. An override of a
// field inside one member must not drop settings that a file gave to another.
//
// Fills `message` and `provenance` by reflection and reports what does not fit the schema to
// `problems`; what was reported does not change the message. All three must outlive it.
class Binder {
 public:
  // `what`: the message in reports, "a configuration".
  Binder(google::protobuf::Message& message, std::string what, Provenance& provenance,
         ProblemList& problems)
      : root_(message), what_(std::move(what)), provenance_(provenance), problems_(problems) {}

  // The fields of a file.
  void BindFile(const SyntaxValue& file);

  // The right-hand side `text` of an override of `path` ("moe.top_k"), both parts of `source`.
  // Text may stand without quotes.
  void BindOverride(absl::string_view path, absl::string_view text, int source);
  // Whether an override can set `path`: reports at `where` otherwise, and then BindOverride would
  // say the same of every value. Opens the blocks around it.
  bool CanOverride(absl::string_view path, const Location& where);

 private:
  using Message = google::protobuf::Message;
  using Field = google::protobuf::FieldDescriptor;

  void BindFields(const std::vector<SyntaxField>& fields, const std::string& path,
                  Message& message);
  void BindField(const SyntaxField& syntax, const Field& field, const std::string& path,
                 Message& message);
  void BindSingle(const SyntaxValue& value, const Location& where, const Field& field,
                  const std::string& path, Message& message);
  void BindList(const SyntaxValue& value, const Location& where, const Field& field,
                const std::string& path, Message& message);
  void DropOtherMembers(const Field& field, const std::string& path);
  // Whether a field in the member `field` of a oneof of `message` would, unasked, drop settings
  // that a file gave to another member; reports it.
  bool WouldDropSettings(const Message& message, const Field& field, const std::string& path,
                         const Location& where);
  // Whether `candidate` can be set without leaving the members of oneofs that are chosen, or that
  // `path` goes through.
  bool KeepsChoices(const std::string& candidate, const std::string& path) const;
  void ReportUnknown(const std::string& name, const Location& where, const std::string& path,
                     const Message& message);
  // Whether `name` is an element of a list, "domain[0]", in the block at `path`; reports it.
  bool IsElement(const std::string& name, const std::string& path, const Location& where,
                 const Message& message);
  void ReportPartOfList(const Field& list, const std::string& path, const Location& where);
  // The field that `path` names and the message that holds it; reports and returns null otherwise.
  const Field* FindField(absl::string_view path, const Location& where, Message** holder);

  Message& root_;
  const std::string what_;
  Provenance& provenance_;
  ProblemList& problems_;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_BINDER_H_
