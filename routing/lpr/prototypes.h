#ifndef EQUIPOISE_ROUTING_LPR_PROTOTYPES_H_
#define EQUIPOISE_ROUTING_LPR_PROTOTYPES_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "core/device/context.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor_view.h"
#include "routing/router.h"

namespace equipoise::routing {

// The points [E, D] that stand for the experts in the latent space. One router's, shared by its
// scorer, its losses and its read-out; the registry outlives it.
class Prototypes {
 public:
  // Learned: declares gate.prototypes [E, D], entries normal of standard deviation 1. With
  // `unit_length` each row is brought back to length one after every step.
  static std::shared_ptr<Prototypes> Learned(const RouterOptions& router, int64_t dimensions,
                                             bool unit_length, ParameterRegistry& parameters);
  // Fixed points, row by row.
  static std::shared_ptr<Prototypes> Fixed(int64_t dimensions, std::vector<double> points);

  int64_t count() const { return count_; }
  int64_t dimensions() const { return dimensions_; }
  // [E, D]. May allocate from context.scratch: open a frame around it.
  ConstTensorView Points(const Context& context, DType dtype) const;
  // [E, D]; absent when fixed.
  TensorView gradient() const { return learned() ? parameter_->gradient() : TensorView(); }
  bool learned() const { return parameter_ != nullptr; }
  // In double, for a loss's value on the host.
  std::vector<double> ToDoubles() const;
  // After the parameters' update.
  void EndStep(const Context& context) const;

 private:
  Prototypes(int64_t count, int64_t dimensions) : count_(count), dimensions_(dimensions) {}

  const int64_t count_;
  const int64_t dimensions_;
  bool unit_length_ = false;
  const Parameter* parameter_ = nullptr;
  std::vector<double> fixed_;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_PROTOTYPES_H_
