#ifndef EQUIPOISE_TESTS_ROUTING_ROUTER_CASES_H_
#define EQUIPOISE_TESTS_ROUTING_ROUTER_CASES_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "routing/router.h"

namespace equipoise::routing {

// A router as the properties of every_router_test.cc are held against it: with every loss it takes,
// and with the shared pieces that change its choice.
struct RouterCase {
  std::string name;
  std::string kind;
  // Changes the kind's defaults; the options' sizes are set.
  std::function<void(RouterOptions&)> change;

  RouterOptions Options(int64_t hidden, int num_experts, int top_k) const;
};

inline std::ostream& operator<<(std::ostream& out, const RouterCase& router) {
  return out << router.name;
}

std::vector<RouterCase> RouterCases();

}  // namespace equipoise::routing

#endif  // EQUIPOISE_TESTS_ROUTING_ROUTER_CASES_H_
