#ifndef EQUIPOISE_ROUTING_LPR_DECLARE_H_
#define EQUIPOISE_ROUTING_LPR_DECLARE_H_

#include <utility>

#include "core/nn/parameter.h"
#include "routing/router.h"

namespace equipoise::routing {

struct DeclareOptions {
  Init init = Init::kNormal;
  double stddev = 0.02;
  bool decay = true;
};

// A replicated parameter `<name_prefix>gate.<name>` of a router's.
inline const Parameter* DeclareOfGate(const RouterOptions& router, ParameterRegistry& parameters,
                                      const char* name, const Shape& shape,
                                      const DeclareOptions& options) {
  ParameterSpec spec;
  spec.shape = shape;
  spec.init = options.init;
  spec.init_stddev = options.stddev;
  spec.decay = options.decay;
  spec.parts = {{router.name_prefix + "gate." + name, shape}};
  return parameters.Declare(std::move(spec));
}

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_DECLARE_H_
