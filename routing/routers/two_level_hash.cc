// Router "two_level_hash": a coarse feature of the token picks a group of experts, a fine one the
// experts in it. A coarse feature that neighbouring tokens share keeps them on one node if groups
// are nodes; a fine one spreads them inside. With DOMAIN and TOKEN this is PanGu-Sigma's Random
// Routed Experts (Ren et al., 2023); the general form is abstract-feature hashing (Jinnai and
// Fukunaga, 2017, hash-distributed A*), with two sets of features instead of one. No parameters, no
// gradient, no losses; every gate 1/K.
//
// Settings:
//   num_groups (int)       groups of E / num_groups consecutive experts, at least K each
//   group_key (string)     "DOMAIN": the data's domain; different groups as long as there are as
//                          many. "SEQUENCE": each sequence of each step. "POSITION": the block of
//                          position_block consecutive positions within any sequence, the groups
//                          taking turns
//   position_block (int)
//   expert_key (string)    "TOKEN": the vocabulary id. "TOKEN_AND_PREVIOUS": it and the one before
//                          it in the sequence

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "routing/hash_router.h"
#include "routing/option_problem.h"
#include "routing/score_settings.h"

namespace equipoise::routing {
namespace {

enum class GroupKey : uint8_t { kDomain, kSequence, kPosition };

struct TwoLevelOptions {
  uint64_t num_groups = 1;
  GroupKey group_key = GroupKey::kDomain;
  int64_t position_block = 1;
  bool with_previous = false;
};

class TwoLevelKeys final : public HashKeys {
 public:
  TwoLevelKeys(const TwoLevelOptions& options, const RouterOptions& router)
      : options_(options),
        key_(StreamKey(router.seed, absl::StrCat("router.two_level_hash.", router.layer))) {}

  HashKey Of(const RouterInput& input, int64_t row) const override {
    const auto ids = input.token_ids.cpu<int32_t>();
    uint64_t token = static_cast<uint32_t>(ids[static_cast<size_t>(row)]);
    // Ids are not negative: a token without predecessor has a key of its own.
    if (options_.with_previous && row % input.sequence_length > 0) {
      token |= (uint64_t{1} + static_cast<uint32_t>(ids[static_cast<size_t>(row) - 1])) << 32;
    }
    return {.group = static_cast<int64_t>(Group(input, row)), .token = token};
  }

 private:
  uint64_t Group(const RouterInput& input, int64_t row) const {
    const uint64_t groups = options_.num_groups;
    switch (options_.group_key) {
      case GroupKey::kDomain: {
        if (input.domains.absent()) return PermutedIndex(key_, 0, groups);
        const int32_t domain = input.domains.cpu<int32_t>()[static_cast<size_t>(row)];
        return PermutedIndex(key_, static_cast<uint32_t>(domain) % groups, groups);
      }
      case GroupKey::kSequence:
        return Philox(key_).Below(
            groups, static_cast<uint64_t>((input.first_token + row) / input.sequence_length),
            static_cast<uint64_t>(input.step));
      case GroupKey::kPosition:
        break;
    }
    const int64_t block = row % input.sequence_length / options_.position_block;
    return PermutedIndex(key_, static_cast<uint64_t>(block) % groups, groups);
  }

  const TwoLevelOptions options_;
  const uint64_t key_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> MakeTwoLevelHashRouter(const RouterOptions& options,
                                                               ParameterRegistry& parameters) {
  (void)parameters;
  const int64_t num_groups = options.settings.GetInt("num_groups");
  EQ_RETURN_IF_ERROR(CheckHashOptions(options, num_groups));
  TwoLevelOptions two_level;
  two_level.num_groups = static_cast<uint64_t>(num_groups);
  EQ_ASSIGN_OR_RETURN(const int group_key,
                      ReadEnum(options, "group_key", {"DOMAIN", "SEQUENCE", "POSITION"}));
  two_level.group_key = static_cast<GroupKey>(group_key);
  EQ_ASSIGN_OR_RETURN(const int expert_key,
                      ReadEnum(options, "expert_key", {"TOKEN", "TOKEN_AND_PREVIOUS"}));
  two_level.with_previous = expert_key == 1;
  two_level.position_block = options.settings.GetInt("position_block");
  if (two_level.position_block < 1) {
    return OptionError(options.kind,
                       {"position_block",
                        {},
                        absl::StrCat("is ", two_level.position_block, ", must be at least 1")});
  }
  return std::make_unique<HashRouter>(options, static_cast<int>(num_groups),
                                      std::make_unique<TwoLevelKeys>(two_level, options));
}

}  // namespace equipoise::routing
