#include "tests/conformance/cases.h"
#include "tests/multiprocess/rank_test.h"

namespace equipoise::multiprocess {

void RegisterRankTests(comm::Communicator& world) {
  for (const conformance::Case& property : conformance::AllCases()) {
    AddRankTest(world, "MpiConformance", property.name, property.body);
  }
}

}  // namespace equipoise::multiprocess
