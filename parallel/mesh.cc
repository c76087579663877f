#include "parallel/mesh.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace equipoise::parallel {

absl::StatusOr<std::unique_ptr<Mesh>> Mesh::Create(comm::Communicator& world, int expert_parallel) {
  const int degree = expert_parallel == 0 ? world.size() : expert_parallel;
  if (degree < 0 || world.size() % degree != 0) {
    return absl::InvalidArgumentError(absl::StrCat("layout.expert_parallel is ", degree,
                                                   ", which does not divide the ", world.size(),
                                                   " ranks of the job"));
  }
  std::unique_ptr<Mesh> mesh(new Mesh(world));
  EQ_ASSIGN_OR_RETURN(mesh->expert_, world.Split(world.rank() / degree, world.rank(), "expert"));
  EQ_ASSIGN_OR_RETURN(mesh->expert_data_,
                      world.Split(world.rank() % degree, world.rank(), "expert_data"));
  return mesh;
}

}  // namespace equipoise::parallel
