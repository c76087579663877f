#ifndef EQUIPOISE_ROUTING_CPU_NORM_SILU_ROWS_H_
#define EQUIPOISE_ROUTING_CPU_NORM_SILU_ROWS_H_

#include <cstdint>

// Vector code of a = silu(u), u = gain * xhat + bias, xhat = (x - mean(x)) / sqrt(var(x) +
// epsilon), of some tokens; var is the biased one. T is float or double; pointers need no
// alignment. A row with anything in it that is not finite becomes NaN.
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

// a [rows, n] of x [rows, n]. The row after the last of x is fetched into the cache: callers walk
// over x, tile by tile.
template <typename T>
void NormSiluRows(const NormParameters<T>& parameters, const T* x, int64_t rows, T* a);

// The same, for the backward pass: `slopes` [rows, n] receives silu'(u), `norms` [rows] the norms.
template <typename T>
void NormSiluSlopesRows(const NormParameters<T>& parameters, const T* x, int64_t rows, T* a,
                        T* slopes, RowNorm<T>* norms);

// Arrays of the backward pass.
template <typename T>
struct NormSiluBackward {
  const RowNorm<T>* norms;  // [rows]
  const T* x;               // [rows, n]
  const T* slopes;          // [rows, n]
  T* da;                    // [rows, n], gradient of a; spent
  T* dx;                    // [rows, n], added to
  T* dgain;                 // [n], added to
  T* dbias;                 // [n], added to
};
template <typename T>
void NormSiluBackwardRows(const NormParameters<T>& parameters, const NormSiluBackward<T>& arrays,
                          int64_t rows);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_ROUTING_CPU_NORM_SILU_ROWS_H_
