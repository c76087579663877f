#ifndef EQUIPOISE_LAUNCHER_CONFIG_IDENTITY_H_
#define EQUIPOISE_LAUNCHER_CONFIG_IDENTITY_H_

#include <google/protobuf/message.h>

#include "launcher/config/experiment.h"

namespace equipoise::launcher {

// What a resolved configuration trains: its fields but those whose annotation says
// `(identity) = false`, and what is below them.
Experiment IdentityOf(const google::protobuf::Message& config);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_IDENTITY_H_
