#include "launcher/config/field_table.h"

#include <google/protobuf/descriptor.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "configs/schema/annotations.pb.h"
#include "configs/schema/run.pb.h"
#include "configs/schema/sweep.pb.h"
#include "launcher/config/field_info.h"
#include "launcher/config/provenance.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// See annotations.proto.
constexpr char kMayDiffer[] = " May differ when a run goes on.";

std::string TypeText(const FieldDescriptor& field) {
  std::string type;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      type = "true or false";
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      type = "text";
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      type = "number";
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      type = "block";
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      type = absl::StrJoin(ValueNames(*field.enum_type()), ", ");
      break;
    default:
      type = "integer";
  }
  return field.is_repeated() ? absl::StrCat("list of: ", type) : type;
}

std::string DefaultCell(const FieldDescriptor& field) {
  if (field.options().GetExtension(config::required_set)) return "must be set";
  const std::string text = DefaultText(field);
  if (text.empty()) return field.is_repeated() ? "empty" : "";
  return absl::StrCat("`", text, "`");
}

std::string Row(const FieldDescriptor& field) {
  return absl::StrCat("| `", field.name(), "` | ", TypeText(field), " | ", DefaultCell(field),
                      " | ", field.options().GetExtension(config::unit), " | ", RangeText(field),
                      " | ", field.options().GetExtension(config::doc),
                      field.options().GetExtension(config::identity) ? "" : kMayDiffer, " |\n");
}

// The table of a block, then those of the blocks in it.
void AddTables(const Descriptor& block, const std::string& path, const std::string& meaning,
               std::string& text) {
  absl::StrAppend(&text, "\n### ", path.empty() ? "The top level" : absl::StrCat("`", path, "`"),
                  "\n\n");
  if (!meaning.empty()) absl::StrAppend(&text, meaning, "\n\n");
  std::string rows;
  for (int i = 0; i < block.field_count(); ++i) rows += Row(*block.field(i));
  if (rows.empty()) {
    absl::StrAppend(&text, "No fields.\n");
  } else {
    absl::StrAppend(&text, "| field | type | default | unit | range | meaning |\n",
                    "| --- | --- | --- | --- | --- | --- |\n", rows);
  }
  for (int i = 0; i < block.field_count(); ++i) {
    const FieldDescriptor& field = *block.field(i);
    if (field.message_type() == nullptr) continue;
    AddTables(*field.message_type(), JoinPath(path, field.name()),
              field.options().GetExtension(config::doc), text);
  }
}

}  // namespace

std::string FieldTable() {
  std::string text;
  AddTables(*config::RunConfig::descriptor(), "", "", text);
  return text;
}

std::string SweepFieldTable() {
  std::string text;
  AddTables(*config::Sweep::descriptor(), "", "", text);
  return text;
}

}  // namespace equipoise::launcher
