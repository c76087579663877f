#ifndef EQUIPOISE_CORE_NN_DECLARE_H_
#define EQUIPOISE_CORE_NN_DECLARE_H_

#include <cstdint>
#include <string>

#include "core/nn/parameter.h"

namespace equipoise {

// A replicated matrix [rows, columns] that decays, drawn from N(0, stddev^2).
Parameter* DeclareMatrix(ParameterRegistry& parameters, const std::string& name, int64_t rows,
                         int64_t columns, double stddev);

// A norm's gain [width]: ones, no decay.
Parameter* DeclareGain(ParameterRegistry& parameters, const std::string& name, int64_t width);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_NN_DECLARE_H_
