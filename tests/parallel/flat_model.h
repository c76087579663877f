#ifndef EQUIPOISE_TESTS_PARALLEL_FLAT_MODEL_H_
#define EQUIPOISE_TESTS_PARALLEL_FLAT_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/nn/parameter.h"
#include "parallel/gradient_sync.h"
#include "parallel/mesh.h"
#include "tests/support/test_context.h"

namespace equipoise::testing_support {

// Parameters without a model, replicated and sharded ones in turn, of odd sizes: for tests of what
// happens to gradients. Every (owner, parameter, element) has a value of its own.
struct FlatModel {
  TestContext memory{size_t{1} << 24};
  std::unique_ptr<parallel::Mesh> mesh;
  ParameterRegistry parameters;
  std::unique_ptr<parallel::GradientSync> sync;

  // `expert_owner` of this rank's kExpert parameters: its position in the expert group.
  int expert_owner() const { return mesh->expert().rank(); }
};

absl::StatusOr<std::unique_ptr<FlatModel>> MakeFlatModel(comm::Communicator& world,
                                                         int expert_parallel, DType dtype,
                                                         int64_t bucket_elements);

// What `rank` of the world adds to element `i` of parameter `index`: small integers, so that every
// sum is exact in every type and order.
double GradientOf(int rank, size_t index, int64_t i);

// The sum of GradientOf over the ranks that hold this rank's copy of the parameter.
double SummedGradientOf(const FlatModel& model, size_t index, int64_t i);

// Writes GradientOf to the gradients of parameter `index`.
void SetGradient(FlatModel& model, size_t index);

// One double for each element of a group's flat buffers; 0 in the padding.
std::vector<double> FlatOf(FlatModel& model, ParameterGroup group,
                           const std::function<double(size_t index, int64_t i)>& value);

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_PARALLEL_FLAT_MODEL_H_
