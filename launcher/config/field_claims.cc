#include "launcher/config/field_claims.h"

namespace equipoise::launcher {

const FieldClaim* FieldClaims::FindRival(const Claims& claims, const FieldClaim& claim) {
  for (const auto& [axis, points] : claims) {
    if (axis != claim.axis) return &points.begin()->second;
    const auto same = points.find(claim.point);
    if (same != points.end()) return &same->second;
  }
  return nullptr;
}

std::optional<FieldClaims::Rival> FieldClaims::Add(const std::string& setting,
                                                   const std::vector<std::string>& below,
                                                   const FieldClaim& claim) {
  std::vector<std::string> fields = {setting};
  fields.insert(fields.end(), below.begin(), below.end());
  std::optional<Rival> met;
  for (const std::string& field : fields) {
    Claims& claims = claims_[field];
    const FieldClaim* rival = met.has_value() ? nullptr : FindRival(claims, claim);
    if (rival != nullptr) met = Rival{field, *rival};
    claims[claim.axis].emplace(claim.point, claim);
  }
  if (met.has_value() && !told_.insert({setting, met->claim.axis, claim.axis}).second) met.reset();
  return met;
}

void FieldClaims::Replace(const std::string& field, const FieldClaim& claim) {
  Claims& claims = claims_[field];
  claims.clear();
  claims[claim.axis].emplace(claim.point, claim);
}

}  // namespace equipoise::launcher
