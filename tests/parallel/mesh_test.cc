#include "parallel/mesh.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/collectives.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

using testing_support::TestContext;
using testing_support::ToDoubles;

// World ranks of a group, in its order.
absl::StatusOr<std::vector<double>> Members(comm::Communicator& group, double world_rank) {
  TestContext memory(size_t{1} << 20);
  const TensorView all = memory.Zeros(DType::kF64, {group.size()});
  const TensorView own = memory.Make(DType::kF64, {1}, std::vector<double>{world_rank});
  EQ_RETURN_IF_ERROR(comm::AllGather(group, memory.context(), own, all));
  return ToDoubles(all);
}

TEST(Mesh, GroupsAreNeighboursAndTheirCounterparts) {
  for (const int ranks : {1, 2, 3, 4, 6, 7}) {
    for (int degree = 1; degree <= ranks; ++degree) {
      if (ranks % degree != 0) continue;
      SCOPED_TRACE(absl::StrCat(ranks, " ranks, expert_parallel ", degree));
      const absl::Status status =
          comm::RunRanks(ranks, [&](comm::Communicator& world) -> absl::Status {
            EQ_ASSIGN_OR_RETURN(const auto mesh, Mesh::Create(world, degree));
            const int rank = world.rank();
            std::vector<double> neighbours, counterparts;
            for (int i = 0; i < degree; ++i) neighbours.push_back(rank / degree * degree + i);
            for (int i = rank % degree; i < ranks; i += degree) counterparts.push_back(i);
            EQ_ASSIGN_OR_RETURN(const auto expert, Members(mesh->expert(), rank));
            EQ_ASSIGN_OR_RETURN(const auto expert_data, Members(mesh->expert_data(), rank));
            EXPECT_EQ(expert, neighbours);
            EXPECT_EQ(expert_data, counterparts);
            EXPECT_EQ(&mesh->world(), &world);
            EXPECT_EQ(&mesh->replicas(ParameterGroup::kReplicated), &world);
            EXPECT_EQ(&mesh->replicas(ParameterGroup::kExpert), &mesh->expert_data());
            return absl::OkStatus();
          });
      EXPECT_TRUE(status.ok()) << status;
    }
  }
}

TEST(Mesh, ZeroMeansAllRanks) {
  const absl::Status status = comm::RunRanks(3, [](comm::Communicator& world) -> absl::Status {
    EQ_ASSIGN_OR_RETURN(const auto mesh, Mesh::Create(world, 0));
    EXPECT_EQ(mesh->expert().size(), 3);
    EXPECT_EQ(mesh->expert_data().size(), 1);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(Mesh, RefusesWhatDoesNotDivideTheRanks) {
  for (const int degree : {3, 5, 8, -1}) {
    const absl::Status status = comm::RunRanks(
        4, [&](comm::Communicator& world) { return Mesh::Create(world, degree).status(); });
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_NE(status.message().find(absl::StrCat("layout.expert_parallel is ", degree)),
              std::string::npos)
        << status;
  }
}

}  // namespace
}  // namespace equipoise::parallel
