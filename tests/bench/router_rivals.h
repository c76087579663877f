#ifndef EQUIPOISE_TESTS_BENCH_ROUTER_RIVALS_H_
#define EQUIPOISE_TESTS_BENCH_ROUTER_RIVALS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/tensor/tensor.h"
#include "tests/bench/router_work.h"
#include "tests/bench/world.h"

namespace equipoise::bench {

// What all rivals read and write: F32 but for the ids. Random, the same for all.
struct RouterTensors {
  Tensor x, dx;                        // [T, H]
  Tensor expert_input, dexpert_input;  // [T, H]
  Tensor dgates;                       // [T, K]
  Tensor token_ids;                    // I32 [T]
  Tensor rows;                         // I64 [T], 0, 1, 2, ...
};
absl::StatusOr<RouterTensors> MakeRouterTensors(RankMemory& memory, const RouterShape& shape);

// A router with everything a step needs. One per rank.
class RouterRival {
 public:
  virtual ~RouterRival() = default;
  const std::string& name() const { return name_; }
  const RouterWork& work() const { return work_; }
  // One forward and one backward pass, with all losses.
  virtual absl::Status Run() = 0;

 protected:
  RouterRival(std::string name, RouterWork work) : name_(std::move(name)), work_(std::move(work)) {}

 private:
  const std::string name_;
  const RouterWork work_;
};

// Our routers: `top_k` with balance and z loss, `lpr` in its modes. All outlive them.
absl::StatusOr<std::vector<std::unique_ptr<RouterRival>>> MakeFusedRouters(RankMemory& memory,
                                                                           const RouterShape& shape,
                                                                           RouterTensors& tensors);

// `lpr` REFERENCE and LEAN composed of whole-array operations (unfused_lpr.h), as published and
// frugally.
absl::StatusOr<std::vector<std::unique_ptr<RouterRival>>> MakeUnfusedRouters(
    RankMemory& memory, const RouterShape& shape, RouterTensors& tensors);
// The oracle of the tests (routing/reference/lpr.h) as `lpr` REFERENCE, in float and in double.
// Slow.
std::vector<std::unique_ptr<RouterRival>> MakeOracles(RankMemory& memory, const RouterShape& shape,
                                                      RouterTensors& tensors);

}  // namespace equipoise::bench

#endif  // EQUIPOISE_TESTS_BENCH_ROUTER_RIVALS_H_
