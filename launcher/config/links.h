#ifndef EQUIPOISE_LAUNCHER_CONFIG_LINKS_H_
#define EQUIPOISE_LAUNCHER_CONFIG_LINKS_H_

#include "absl/status/statusor.h"
#include "comm/link_model.h"
#include "configs/schema/training.pb.h"

namespace equipoise::launcher {

// The links that a configuration gives: its file's, and over them its fields'. InvalidArgument with
// the file's name when it cannot be read or says no link.
absl::StatusOr<comm::LinkModel> ReadLinks(const config::Links& links);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_LINKS_H_
