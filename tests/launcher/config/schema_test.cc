// What the schema promises of itself.

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "configs/schema/annotations.pb.h"
#include "configs/schema/run.pb.h"
#include "configs/schema/sweep.pb.h"
#include "launcher/config/field_info.h"
#include "launcher/config/field_table.h"
#include "routing/router.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

bool IsNumber(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return true;
    default:
      return false;
  }
}

void CollectFields(const Descriptor& type, std::vector<const FieldDescriptor*>& fields) {
  for (int i = 0; i < type.field_count(); ++i) {
    fields.push_back(type.field(i));
    if (type.field(i)->message_type() != nullptr)
      CollectFields(*type.field(i)->message_type(), fields);
  }
}

std::vector<const FieldDescriptor*> AllFields() {
  std::vector<const FieldDescriptor*> fields;
  CollectFields(*config::RunConfig::descriptor(), fields);
  CollectFields(*config::Sweep::descriptor(), fields);
  return fields;
}

TEST(Schema, EveryFieldIsDocumented) {
  for (const FieldDescriptor* field : AllFields()) {
    SCOPED_TRACE(field->full_name());
    const auto& options = field->options();
    EXPECT_THAT(options.GetExtension(config::doc), testing::EndsWith("."));
    EXPECT_EQ(IsNumber(*field), !options.GetExtension(config::unit).empty());
    EXPECT_EQ(IsNumber(*field), options.HasExtension(config::range));
  }
}

TEST(Schema, EveryFieldHasADefaultOrMustBeSet) {
  for (const FieldDescriptor* field : AllFields()) {
    SCOPED_TRACE(field->full_name());
    if (field->is_repeated() || field->message_type() != nullptr) continue;
    EXPECT_NE(field->has_default_value(), field->options().GetExtension(config::required_set));
  }
}

TEST(Schema, DefaultsLieInTheirRanges) {
  for (const FieldDescriptor* field : AllFields()) {
    SCOPED_TRACE(field->full_name());
    if (!IsNumber(*field) || !field->has_default_value()) continue;
    EXPECT_EQ(RangeViolation(*field, std::stod(DefaultText(*field))), std::nullopt);
  }
}

TEST(Schema, ConditionsNameFieldsBesideAndTheirValues) {
  for (const FieldDescriptor* field : AllFields()) {
    SCOPED_TRACE(field->full_name());
    const auto& options = field->options();
    for (int i = 0; i < options.ExtensionSize(config::matters_if); ++i) {
      const config::Condition& condition = options.GetExtension(config::matters_if, i);
      const FieldDescriptor* other = field->containing_type()->FindFieldByName(condition.field());
      ASSERT_NE(other, nullptr);
      EXPECT_FALSE(field->is_repeated() || other->is_repeated());
      EXPECT_NE(condition.is().empty(), condition.is_not().empty());
      ASSERT_TRUE(other->enum_type() != nullptr || IsNumber(*other));
      for (const auto& values : {condition.is(), condition.is_not()}) {
        for (const std::string& value : values) {
          const bool legal = other->enum_type() != nullptr
                                 ? other->enum_type()->FindValueByName(value) != nullptr
                                 : NumberText(std::stod(value)) == value;
          EXPECT_TRUE(legal) << value;
        }
      }
    }
  }
}

TEST(Schema, RoutersAreThoseOfTheRegistry) {
  EXPECT_EQ(FieldNames(*config::Router::descriptor()), routing::RouterKinds());
  std::vector<const FieldDescriptor*> settings;
  CollectFields(*config::Router::descriptor(), settings);
  for (const FieldDescriptor* field : settings) EXPECT_FALSE(field->is_repeated());
}

// What follows `marker` in a page.
std::string Behind(const std::string& marker, const std::string& page) {
  std::ifstream stream(page);
  const std::string text((std::istreambuf_iterator<char>(stream)),
                         std::istreambuf_iterator<char>());
  const size_t begin = text.find(marker);
  return begin == std::string::npos ? "" : text.substr(begin + marker.size());
}

TEST(Schema, ReferencePagesAreUpToDate) {
  EXPECT_TRUE(Behind("<!-- equipoise fields -->\n", "docs/configuration.md") == FieldTable())
      << "replace what follows the marker in docs/configuration.md by `equipoise fields`";
  EXPECT_TRUE(Behind("<!-- equipoise fields --sweep -->\n", "docs/experiments.md") ==
              SweepFieldTable())
      << "replace what follows the marker in docs/experiments.md by `equipoise fields --sweep`";
}

}  // namespace
}  // namespace equipoise::launcher
