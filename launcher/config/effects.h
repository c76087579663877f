#ifndef EQUIPOISE_LAUNCHER_CONFIG_EFFECTS_H_
#define EQUIPOISE_LAUNCHER_CONFIG_EFFECTS_H_

#include <google/protobuf/message.h>

#include "launcher/config/problem.h"
#include "launcher/config/provenance.h"

namespace equipoise::launcher {

// Settings without effect: fields with another value than their default where none of the
// conditions holds that the schema gives them (matters_if of annotations.proto).

// Reports those of `config`, each where it was written. Not those that a later text made so: who
// switches a loss off on the command line need not take out its settings.
void CheckEffects(const google::protobuf::Message& config, const Provenance& provenance,
                  ProblemList& problems);

// Gives them their defaults, so that equal runs have equal resolved configurations.
void ClearWithoutEffect(google::protobuf::Message& config);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_EFFECTS_H_
