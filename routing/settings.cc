#include "routing/settings.h"

#include "core/base/check.h"

namespace equipoise::routing {

template <typename T>
const T& Settings::Get(std::string_view name) const {
  const auto found = values_.find(name);
  EQ_CHECK(found != values_.end()) << "no setting named '" << name << "'";
  const T* value = std::get_if<T>(&found->second);
  EQ_CHECK(value != nullptr) << "setting '" << name << "' has another type (alternative "
                             << found->second.index() << ")";
  return *value;
}

bool Settings::GetBool(std::string_view name) const { return Get<bool>(name); }
int64_t Settings::GetInt(std::string_view name) const { return Get<int64_t>(name); }
double Settings::GetDouble(std::string_view name) const { return Get<double>(name); }
const std::string& Settings::GetString(std::string_view name) const {
  return Get<std::string>(name);
}

}  // namespace equipoise::routing
