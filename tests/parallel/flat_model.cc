#include "tests/parallel/flat_model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace equipoise::testing_support {

absl::StatusOr<std::unique_ptr<FlatModel>> MakeFlatModel(comm::Communicator& world,
                                                         int expert_parallel, DType dtype,
                                                         int64_t bucket_elements) {
  auto model = std::make_unique<FlatModel>();
  EQ_ASSIGN_OR_RETURN(model->mesh, parallel::Mesh::Create(world, expert_parallel));
  const int64_t sizes[] = {13, 64, 1, 31, 7, 100, 17};
  int index = 0;
  for (const int64_t size : sizes) {
    ParameterSpec spec;
    spec.shape = {size};
    spec.group = index % 2 == 0 ? ParameterGroup::kReplicated : ParameterGroup::kExpert;
    spec.decay = index % 3 != 0;
    std::string name = absl::StrCat("p", index);
    if (spec.group == ParameterGroup::kExpert) {
      // Another logical tensor for each owner, hence other initial values.
      absl::StrAppend(&name, ".of", model->expert_owner());
    }
    spec.parts = {{std::move(name), spec.shape}};
    model->parameters.Declare(std::move(spec));
    ++index;
  }
  const int64_t alignment[kNumParameterGroups] = {world.size(), model->mesh->expert_data().size()};
  Device& device = model->memory.device();
  EQ_RETURN_IF_ERROR(model->parameters.Allocate(device, dtype, alignment));
  model->parameters.Initialize(device, 5);
  EQ_ASSIGN_OR_RETURN(model->sync, parallel::GradientSync::Create(
                                       device, *model->mesh, model->parameters, bucket_elements));
  return model;
}

double GradientOf(int rank, size_t index, int64_t i) {
  return static_cast<double>((static_cast<int64_t>(index) * 131 + i * 7) % 61 - 30 + 3 * rank);
}

double SummedGradientOf(const FlatModel& model, size_t index, int64_t i) {
  const bool expert = model.parameters.parameters()[index]->spec().group == ParameterGroup::kExpert;
  const int world = model.mesh->world().size();
  const int owners = model.mesh->expert().size();
  double sum = 0.0;
  for (int rank = 0; rank < world; ++rank) {
    if (!expert || rank % owners == model.expert_owner()) sum += GradientOf(rank, index, i);
  }
  return sum;
}

void SetGradient(FlatModel& model, size_t index) {
  const Parameter& parameter = *model.parameters.parameters()[index];
  std::vector<double> values;
  for (int64_t i = 0; i < parameter.num_elements(); ++i) {
    values.push_back(GradientOf(model.mesh->world().rank(), index, i));
  }
  SetDoubles(parameter.gradient(), values);
}

std::vector<double> FlatOf(FlatModel& model, ParameterGroup group,
                           const std::function<double(size_t index, int64_t i)>& value) {
  ParameterRegistry& registry = model.parameters;
  std::vector<double> flat(static_cast<size_t>(registry.values(group).num_elements()), 0.0);
  for (size_t index = 0; index < registry.parameters().size(); ++index) {
    const Parameter& parameter = *registry.parameters()[index];
    if (parameter.spec().group != group) continue;
    for (int64_t i = 0; i < parameter.num_elements(); ++i) {
      flat[static_cast<size_t>(parameter.offset() + i)] = value(index, i);
    }
  }
  return flat;
}

}  // namespace equipoise::testing_support
