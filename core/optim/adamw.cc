#include "core/optim/adamw.h"

#include <cmath>

#include "core/base/check.h"
#include "core/optim/cpu/adamw.h"
#include "core/tensor/dtype.h"

namespace equipoise {
namespace {

void CheckSlice(const AdamWSlice& slice) {
  const Shape& shape = slice.parameter.shape();
  EQ_CHECK(slice.gradient.shape() == shape && slice.first_moment.shape() == shape &&
           slice.second_moment.shape() == shape)
      << "parameter " << shape << ", gradient " << slice.gradient.shape() << ", moments "
      << slice.first_moment.shape() << " and " << slice.second_moment.shape();
}

}  // namespace

void AdamWUpdate(const Context&, const AdamWOptions& options, int64_t step, double learning_rate,
                 double gradient_scale, const AdamWSlice& slice) {
  EQ_CHECK_GE(step, 1);
  CheckSlice(slice);
  const double decay = slice.decay ? options.weight_decay : 0.0;
  const double correction1 = 1.0 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = 1.0 - std::pow(options.beta2, static_cast<double>(step));
  DispatchFloat(slice.parameter.dtype(), [&]<typename T>() {
    const cpu::AdamWFactors<T> factors = {
        .gradient_scale = static_cast<T>(gradient_scale),
        .shrink = static_cast<T>(1.0 - learning_rate * decay),
        .one_minus_beta1 = static_cast<T>(1.0 - options.beta1),
        .beta2 = static_cast<T>(options.beta2),
        .one_minus_beta2 = static_cast<T>(1.0 - options.beta2),
        .second_moment_norm = static_cast<T>(std::sqrt(correction2)),
        .epsilon = static_cast<T>(options.epsilon),
        .step_size = static_cast<T>(learning_rate / correction1)};
    const cpu::AdamWArrays<T> arrays = {.parameter = slice.parameter.cpu<T>().data(),
                                        .gradient = slice.gradient.cpu<T>().data(),
                                        .first_moment = slice.first_moment.cpu<T>().data(),
                                        .second_moment = slice.second_moment.cpu<T>().data()};
    cpu::AdamWKernel(factors, arrays, slice.parameter.num_elements());
  });
}

}  // namespace equipoise
