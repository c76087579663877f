#ifndef EQUIPOISE_CORE_OPS_CPU_SOFTMAX_KERNELS_H_
#define EQUIPOISE_CORE_OPS_CPU_SOFTMAX_KERNELS_H_

#include <cstdint>

namespace equipoise::cpu {

// The vector code of a softmax over one row, as pointers into the code for the best instruction set
// of this machine; beside RowKernels, and with its invariants: sums have one order, whatever the
// width of a vector. Rows need no alignment and may be empty. Fetch the table once per op.
//
// A score that is NaN or infinite makes a NaN, so that an overflow shows in the loss instead of
// vanishing in an exponential.
template <typename T>
struct SoftmaxKernels {
  // The largest element, minus infinity for an empty row. A NaN may be passed over: exp_and_sum
  // will not.
  T (*max)(const T* x, int64_t n);
  // x = exp(x - shift); returns the sum. REQUIRES: no element of x above `shift`.
  double (*exp_and_sum)(T shift, T* x, int64_t n);
  // From scores to gradients: p = exp(scores - log_sum_exp) replaces the scores, p * (dp - delta)
  // replaces dp, where delta = <p, dp> over the whole row.
  void (*backward)(T log_sum_exp, T delta, T* scores, T* dp, int64_t n);

  static const SoftmaxKernels& Get();
};

template <>
const SoftmaxKernels<float>& SoftmaxKernels<float>::Get();
template <>
const SoftmaxKernels<double>& SoftmaxKernels<double>::Get();

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_SOFTMAX_KERNELS_H_
