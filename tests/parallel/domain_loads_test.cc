#include "parallel/domain_loads.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/host_mirror.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

using testing_support::TestContext;

constexpr int kLayers = 2;
constexpr int kDomains = 3;
constexpr int kExperts = 5;
constexpr int64_t kTokens = 12;  // of all ranks together
constexpr int64_t kCopies = 2;

// Copy k of token t in a layer; every seventh copy is dropped.
int32_t ExpertOf(int layer, int64_t token, int64_t k) {
  const int64_t copy = token * kCopies + k;
  return copy % 7 == 6 ? -1 : static_cast<int32_t>((layer + token + 2 * k) % kExperts);
}

int32_t DomainOf(int64_t token) { return token < 5 ? 0 : 2; }  // domain 1 has none

std::vector<double> Expected(int layer, int domain) {
  std::vector<double> counts(kExperts);
  for (int64_t token = 0; token < kTokens; ++token) {
    for (int64_t k = 0; k < kCopies; ++k) {
      const int32_t expert = ExpertOf(layer, token, k);
      if (expert >= 0 && DomainOf(token) == domain) counts[static_cast<size_t>(expert)] += 1.0;
    }
  }
  return counts;
}

void RecordTokens(const Context& context, int64_t begin, int64_t end, DomainLoads& loads) {
  const WorkspaceFrame frame(*context.scratch);
  const TensorView ids = context.scratch->Allocate(DType::kI32, {end - begin, kCopies});
  const TensorView domains = context.scratch->Allocate(DType::kI32, {end - begin});
  for (int layer = 0; layer < kLayers; ++layer) {
    std::vector<int32_t> host_ids;
    std::vector<int32_t> host_domains;
    for (int64_t token = begin; token < end; ++token) {
      host_domains.push_back(DomainOf(token));
      for (int64_t k = 0; k < kCopies; ++k) host_ids.push_back(ExpertOf(layer, token, k));
    }
    comm::MirrorToDevice<int32_t>(context, host_ids, ids);
    comm::MirrorToDevice<int32_t>(context, host_domains, domains);
    loads.Record(context, layer, ids, domains);
  }
}

// Two passes over different tokens on each rank; with more ranks than tokens some have none.
absl::Status CountOnAllRanks(comm::Communicator& world) {
  TestContext memory(size_t{1} << 20);
  EQ_ASSIGN_OR_RETURN(DomainLoads loads,
                      DomainLoads::Create(*memory.context().device, kLayers, kDomains, kExperts));
  const int64_t begin = kTokens * world.rank() / world.size();
  const int64_t end = kTokens * (world.rank() + 1) / world.size();
  for (int round = 0; round < 2; ++round) {
    loads.Clear();  // or the second round would have twice the copies
    RecordTokens(memory.context(), begin, (begin + end) / 2, loads);
    RecordTokens(memory.context(), (begin + end) / 2, end, loads);
    EQ_RETURN_IF_ERROR(loads.Reduce(memory.context(), world, comm::WaitOptions()));
  }
  for (int layer = 0; layer < kLayers; ++layer) {
    for (int domain = 0; domain < kDomains; ++domain) {
      const std::span<const double> counts = loads.Counts(layer, domain);
      EXPECT_EQ(std::vector<double>(counts.begin(), counts.end()), Expected(layer, domain))
          << "layer " << layer << ", domain " << domain << ", rank " << world.rank();
    }
  }
  return absl::OkStatus();
}

TEST(DomainLoads, AreTheSameForEveryNumberOfRanks) {
  for (const int ranks : {1, 2, 3, 13}) {
    const absl::Status status = comm::RunRanks(ranks, CountOnAllRanks);
    EXPECT_TRUE(status.ok()) << ranks << " ranks: " << status;
  }
}

TEST(DomainLoads, OfADenseModelAreNone) {
  const absl::Status status = comm::RunRanks(2, [](comm::Communicator& world) -> absl::Status {
    TestContext memory(size_t{1} << 20);
    EQ_ASSIGN_OR_RETURN(DomainLoads loads,
                        DomainLoads::Create(*memory.context().device, 0, kDomains, 0));
    return loads.Reduce(memory.context(), world, comm::WaitOptions());
  });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace equipoise::parallel
