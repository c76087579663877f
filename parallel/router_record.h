#ifndef EQUIPOISE_PARALLEL_ROUTER_RECORD_H_
#define EQUIPOISE_PARALLEL_ROUTER_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/manifest.h"
#include "parallel/router_statistics.h"
#include "parallel/transformer.h"

namespace equipoise::parallel {

// What a checkpoint keeps of the routers besides their parameters: the previous step's sums and the
// routers' state (selection biases), with the names and sizes of their segments. A run may go on
// with a loss or a bias more or less: what both have is read by name, the rest begins anew.
void RecordRouters(const Transformer& model, const RouterStatistics& statistics,
                   Manifest& manifest);

// What a run goes on with.
struct RestoredRouters {
  std::vector<double> sums;  // for RouterStatistics::ImportPrevious
  int64_t tokens = 0;
  std::vector<std::vector<double>> states;  // of each MoE layer, for Router::SetState
  std::vector<std::string> warnings;        // what was not there, and what is left out
};

// FailedPrecondition, naming `path` and the layer, when the checkpoint was trained with routers of
// another kind. OK where it does not say, or has another number of layers.
absl::Status CheckRouterKinds(const Manifest& manifest, const std::string& path,
                              const Transformer& model);

// FailedPrecondition, naming `path` and the layer, when the record does not fit: a router of
// another kind, a state that means something else, or, from before segments had names, other
// lengths. DataLoss when the record cannot be read.
absl::StatusOr<RestoredRouters> ReadRouters(const Manifest& manifest, const std::string& path,
                                            const Transformer& model,
                                            const RouterStatistics& statistics);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_ROUTER_RECORD_H_
