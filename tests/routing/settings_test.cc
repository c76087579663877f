#include "routing/settings.h"

#include "gtest/gtest.h"

namespace equipoise::routing {
namespace {

TEST(SettingsTest, ReturnsWhatWasSet) {
  Settings settings;
  settings.Set("on", true);
  settings.Set("count", int64_t{3});
  settings.Set("rate", 0.5);
  settings.Set("nested.mode", std::string("LEAN"));
  EXPECT_TRUE(settings.GetBool("on"));
  EXPECT_EQ(settings.GetInt("count"), 3);
  EXPECT_EQ(settings.GetDouble("rate"), 0.5);
  EXPECT_EQ(settings.GetString("nested.mode"), "LEAN");
  settings.Set("rate", 0.25);
  EXPECT_EQ(settings.GetDouble("rate"), 0.25);
}

TEST(SettingsDeathTest, NamesWhatIsWrong) {
  Settings settings;
  settings.Set("rate", 0.5);
  EXPECT_DEATH(settings.GetDouble("raet"), "no setting named 'raet'");
  EXPECT_DEATH(settings.GetInt("rate"), "setting 'rate' has another type");
}

}  // namespace
}  // namespace equipoise::routing
