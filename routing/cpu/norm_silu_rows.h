#ifndef EQUIPOISE_ROUTING_CPU_NORM_SILU_ROWS_H_
#define EQUIPOISE_ROUTING_CPU_NORM_SILU_ROWS_H_

#include <cstdint>

// Vector code of a = silu(u), u = gain * xhat + bias, xhat = (x - mean(x)) / sqrt(var(x) +
// epsilon), of one token; var is the biased one. T is float or double; pointers need no alignment.
namespace equipoise::cpu {

template <typename T>
struct NormParameters {
  const T* gain;  // [n]
  const T* bias;  // [n]
  int64_t n = 0;  // REQUIRES: n >= 1
  double epsilon = 0.0;
};

// What the backward pass needs to know of a row's norm.
template <typename T>
struct RowNorm {
  T mean;
  T inverse_deviation;
};

// a [n]. `slopes` [n] receives silu'(u) unless it is null; it may not be x.
template <typename T>
RowNorm<T> NormSiluRow(const NormParameters<T>& parameters, const T* x, T* a, T* slopes);

// da [n] holds the gradient of a and is spent. Adds to dx, dgain and dbias, each [n].
template <typename T>
void NormSiluBackwardRow(const NormParameters<T>& parameters, const RowNorm<T>& norm, const T* x,
                         const T* slopes, T* da, T* dx, T* dgain, T* dbias);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_ROUTING_CPU_NORM_SILU_ROWS_H_
