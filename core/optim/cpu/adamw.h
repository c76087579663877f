#ifndef EQUIPOISE_CORE_OPTIM_CPU_ADAMW_H_
#define EQUIPOISE_CORE_OPTIM_CPU_ADAMW_H_

#include <cstdint>

namespace equipoise::cpu {

// The numbers of one AdamW step, the same for all elements of a slice.
template <typename T>
struct AdamWFactors {
  T gradient_scale;
  T shrink;  // 1 - learning rate * weight decay
  T one_minus_beta1;
  T beta2;
  T one_minus_beta2;
  T second_moment_norm;  // sqrt(1 - beta2^step)
  T epsilon;
  T step_size;  // learning rate / (1 - beta1^step)
};

template <typename T>
struct AdamWArrays {
  T* parameter;
  const T* gradient;
  T* first_moment;
  T* second_moment;
};

// One AdamW step on `n` elements, element by element: cutting a slice in two changes no bit.
void AdamWKernel(const AdamWFactors<float>& factors, const AdamWArrays<float>& arrays, int64_t n);
void AdamWKernel(const AdamWFactors<double>& factors, const AdamWArrays<double>& arrays, int64_t n);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPTIM_CPU_ADAMW_H_
