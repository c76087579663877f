#ifndef EQUIPOISE_ROUTING_SETTINGS_H_
#define EQUIPOISE_ROUTING_SETTINGS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>

namespace equipoise::routing {

// The settings of one router by name, complete (defaults filled in) and already checked against
// the schema. So a new router needs its own file, a line in the registry and a message in the
// schema, and no translation in between. Enumerations are their names as strings; fields of nested
// messages have dotted names. A value.
class Settings {
 public:
  using Value = std::variant<bool, int64_t, double, std::string>;

  void Set(const std::string& name, Value value) { values_[name] = std::move(value); }
  // For settings that only some routers offer, such as those of a shared piece.
  bool Has(std::string_view name) const { return values_.find(name) != values_.end(); }
  // Asking for a name that is not there, or with another type, is a bug: fatal, naming it.
  bool GetBool(std::string_view name) const;
  int64_t GetInt(std::string_view name) const;
  double GetDouble(std::string_view name) const;
  const std::string& GetString(std::string_view name) const;

 private:
  template <typename T>
  const T& Get(std::string_view name) const;
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_SETTINGS_H_
