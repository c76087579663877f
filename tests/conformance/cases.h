#ifndef EQUIPOISE_TESTS_CONFORMANCE_CASES_H_
#define EQUIPOISE_TESTS_CONFORMANCE_CASES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "comm/communicator.h"

namespace equipoise::conformance {

// What every backend must do, written once: one function per property, run by every rank of a
// world, which returns what it found wrong. Buffers hold values that encode (rank, index), so that
// the expected answer is a formula.
struct Case {
  std::string name;
  absl::Status (*body)(comm::Communicator& world);
};

std::vector<Case> VerbCases();    // one verb at a time
std::vector<Case> OrderCases();   // several in flight, split groups, waiting
std::vector<Case> FrontCases();   // collectives.h, topology.h, row_exchange.h
std::vector<Case> SharedCases();  // memory that ranks of a node share
std::vector<Case> AllCases();

}  // namespace equipoise::conformance

#endif  // EQUIPOISE_TESTS_CONFORMANCE_CASES_H_
