#ifndef EQUIPOISE_CORE_OPS_CPU_ROW_KERNELS_H_
#define EQUIPOISE_CORE_OPS_CPU_ROW_KERNELS_H_

#include <cstdint>

namespace equipoise::cpu {

// Everything the backward of one RMS norm row reads and writes; `n` elements each.
template <typename T>
struct RmsNormBackwardRow {
  const T* x;
  const T* weight;
  const T* dy;
  double inverse_rms;
  // inverse_rms^3 / n * sum over j of dy_j weight_j x_j.
  double projection;
  T* dx;               // may be dy
  bool accumulate_dx;  // dx += rather than dx =
  double* dweight;     // added to
};

// The vector code of the ops: functions over one row (or any run of `n` contiguous elements), as
// pointers into the code for the best instruction set of this machine. Fetch the table once per op.
//
// Invariants: 1. Element-wise results do not depend on where in the row an element stands. 2. Sums
// run over 32 interleaved partial sums in double, folded in one fixed order. 3. Products are fused
// into sums explicitly, never by the compiler. So every x86-64-v3 machine gives the same bits, be
// its vectors 256 or 512 bits wide.
//
// `n` may be zero. Inputs and outputs may be the same row, never overlap in part.
template <typename T>
struct RowKernels {
  // Sum of x_i y_i.
  double (*dot)(const T* x, const T* y, int64_t n);
  // Sum of x_i y_i z_i.
  double (*dot3)(const T* x, const T* y, const T* z, int64_t n);
  // y_i += alpha x_i.
  void (*axpy)(T alpha, const T* x, T* y, int64_t n);
  // y_i = alpha x_i.
  void (*scale)(T alpha, const T* x, T* y, int64_t n);
  // y_i = (alpha x_i) w_i.
  void (*scale_product)(T alpha, const T* x, const T* w, T* y, int64_t n);
  // True when no element is NaN or infinite.
  bool (*all_finite)(const T* x, int64_t n);
  // y_i = silu(gate_i) up_i, silu(z) = z / (1 + exp(-z)).
  void (*silu_product)(const T* gate, const T* up, T* y, int64_t n);
  // dgate_i = dy_i up_i silu'(gate_i), dup_i = dy_i silu(gate_i).
  void (*silu_product_backward)(const T* gate, const T* up, const T* dy, T* dgate, T* dup,
                                int64_t n);
  // dx (+)= inverse_rms weight dy - projection x; dweight += inverse_rms dy x. In double inside.
  void (*rms_norm_backward)(const RmsNormBackwardRow<T>& row, int64_t n);

  static const RowKernels& Get();
};

template <>
const RowKernels<float>& RowKernels<float>::Get();
template <>
const RowKernels<double>& RowKernels<double>::Get();

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_ROW_KERNELS_H_
