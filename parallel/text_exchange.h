#ifndef EQUIPOISE_PARALLEL_TEXT_EXCHANGE_H_
#define EQUIPOISE_PARALLEL_TEXT_EXCHANGE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "core/device/context.h"

// Small texts between ranks (paths, lists of names): for set-up and checkpoints, not for steps.
// `wait` names what the others wait for, "run directory".
namespace equipoise::parallel {

// On every rank, `root`'s `text`. Collective.
absl::StatusOr<std::string> BroadcastText(comm::Communicator& group, const Context& context,
                                          const std::string& text, int root,
                                          const comm::WaitOptions& wait);

// On every rank, all ranks' texts in rank order. Collective.
absl::StatusOr<std::vector<std::string>> GatherTexts(comm::Communicator& group,
                                                     const Context& context,
                                                     const std::string& text,
                                                     const comm::WaitOptions& wait);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_TEXT_EXCHANGE_H_
