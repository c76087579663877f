#include "core/nn/declare.h"

namespace equipoise {

Parameter* DeclareMatrix(ParameterRegistry& parameters, const std::string& name, int64_t rows,
                         int64_t columns, double stddev) {
  ParameterSpec spec;
  spec.shape = {rows, columns};
  spec.init_stddev = stddev;
  spec.parts = {{name, spec.shape}};
  return parameters.Declare(spec);
}

Parameter* DeclareGain(ParameterRegistry& parameters, const std::string& name, int64_t width) {
  ParameterSpec spec;
  spec.shape = {width};
  spec.decay = false;
  spec.init = Init::kOnes;
  spec.parts = {{name, spec.shape}};
  return parameters.Declare(spec);
}

}  // namespace equipoise
