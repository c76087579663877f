#include "tests/conformance/cases.h"

namespace equipoise::conformance {

std::vector<Case> AllCases() {
  std::vector<Case> all = VerbCases();
  for (const std::vector<Case>& more : {OrderCases(), FrontCases(), SharedCases()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

}  // namespace equipoise::conformance
