#ifndef EQUIPOISE_CORE_OPTIM_CLIP_H_
#define EQUIPOISE_CORE_OPTIM_CLIP_H_

namespace equipoise {

// The factor that brings a gradient of global norm `norm` down to `max_norm`, like PyTorch's
// `clip_grad_norm_`: min(1, max_norm / (norm + 1e-6)). Pass it to AdamWUpdate. A norm that is not
// finite gives a factor that is not one either: decide about skipping the step before.
// REQUIRES: max_norm > 0.
double ClipFactor(double norm, double max_norm);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPTIM_CLIP_H_
