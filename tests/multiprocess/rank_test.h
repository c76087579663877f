#ifndef EQUIPOISE_TESTS_MULTIPROCESS_RANK_TEST_H_
#define EQUIPOISE_TESTS_MULTIPROCESS_RANK_TEST_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "comm/communicator.h"

// Tests whose ranks are processes under mpirun (see eq_mpi_test). Depend on :rank_test, which
// brings main(), and define RegisterRankTests.
namespace equipoise::multiprocess {

// What every rank does in one test; every rank runs the same tests in the same order.
using RankBody = std::function<absl::Status(comm::Communicator& world)>;

// Registers one test. When `body` fails on a rank, the test fails there and the job is aborted:
// the other ranks may be waiting for it.
void AddRankTest(comm::Communicator& world, const std::string& suite, const std::string& name,
                 RankBody body);

// Defined by the test program: calls AddRankTest for each of its tests. `world` lives until the
// program ends.
void RegisterRankTests(comm::Communicator& world);

}  // namespace equipoise::multiprocess

#endif  // EQUIPOISE_TESTS_MULTIPROCESS_RANK_TEST_H_
