#ifndef EQUIPOISE_LAUNCHER_CONFIG_FIELD_CLAIMS_H_
#define EQUIPOISE_LAUNCHER_CONFIG_FIELD_CLAIMS_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "launcher/config/problem.h"

namespace equipoise::launcher {

// Who sets a field, and in which trials.
struct FieldClaim {
  std::string owner;  // in reports: "axis lr", "set"
  Location where;
  // Every trial has one point of each axis, so claims meet in a trial unless they are of two points
  // of one axis. What is the same in every trial counts as an axis with one point.
  int axis = 0;
  int point = 0;
};

// The fields that the parts of a sweep set, to find those that get two values in one trial: which
// of them would win is nothing that a reader of the file could tell. Belongs to one thread.
class FieldClaims {
 public:
  struct Rival {
    std::string field;
    FieldClaim claim;
  };

  // Enters the claim on a setting and the fields below it, of which there may be none. Returns an
  // earlier claim on one of these that it meets in a trial, once for a setting and two axes (or an
  // axis with itself).
  std::optional<Rival> Add(const std::string& setting, const std::vector<std::string>& below,
                           const FieldClaim& claim);
  // The claim instead of all that there are.
  void Replace(const std::string& field, const FieldClaim& claim);

 private:
  // By axis and point: the first of them.
  using Claims = std::map<int, std::map<int, FieldClaim>>;

  static const FieldClaim* FindRival(const Claims& claims, const FieldClaim& claim);

  std::map<std::string, Claims> claims_;
  std::set<std::tuple<std::string, int, int>> told_;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_FIELD_CLAIMS_H_
