#include "core/optim/clip.h"

#include "core/base/check.h"

namespace equipoise {

double ClipFactor(double norm, double max_norm) {
  EQ_CHECK_GT(max_norm, 0.0);
  const double factor = max_norm / (norm + 1e-6);
  return factor > 1.0 ? 1.0 : factor;
}

}  // namespace equipoise
