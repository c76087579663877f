#ifndef EQUIPOISE_LAUNCHER_CONFIG_TRANSLATE_H_
#define EQUIPOISE_LAUNCHER_CONFIG_TRANSLATE_H_

#include <google/protobuf/message.h>

#include "configs/schema/run.pb.h"
#include "launcher/config/run_options.h"
#include "routing/router.h"
#include "routing/settings.h"

namespace equipoise::launcher {

// Fills in what other fields decide: name (from `default_name`), num_kv_heads, head_dim, the
// router. Drops `include`. REQUIRES: a valid configuration. Doing it twice changes nothing.
void ResolveDefaults(const std::string& default_name, config::RunConfig& config);

// REQUIRES: a valid configuration with defaults resolved.
RunOptions Translate(const config::RunConfig& config);

// E, K, losses, capacity, kind and settings; what differs between layers is left out.
routing::RouterOptions TranslateRouter(const config::RunConfig& config);

// All fields of `message`, defaults filled in, by reflection: enumerations by name, fields of
// nested messages by dotted name. REQUIRES: no repeated fields.
routing::Settings ToSettings(const google::protobuf::Message& message);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_TRANSLATE_H_
