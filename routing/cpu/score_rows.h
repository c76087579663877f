#ifndef EQUIPOISE_ROUTING_CPU_SCORE_ROWS_H_
#define EQUIPOISE_ROUTING_CPU_SCORE_ROWS_H_

#include <cstdint>

// Vector code over the scores of one token, n = number of experts. T is float or double, and sums
// over a row are taken in T. Pointers need no alignment; outputs may be the inputs. What is not
// finite becomes NaN, so that an overflowed logit shows in the loss instead of vanishing.
namespace equipoise::cpu {

// Intervals that margins, scores less a threshold, are counted in: `count` of them between -range
// and range, with edges range * u |u|, u evenly spaced.
template <typename T>
struct MarginBins {
  T threshold;
  T range;
  T count;
};

// Pointers into the code for the best instruction set of this machine.
template <typename T>
struct ScoreKernels {
  T (*softmax)(const T* logits, int64_t n, T* p);
  T (*sigmoid)(const T* logits, int64_t n, T* s);
  void (*scale)(T factor, int64_t n, T* x);
  void (*add_scaled)(T alpha, const T* x, int64_t n, T* y);
  T (*dot)(const T* x, const T* y, int64_t n);
  T (*entropy)(const T* p, int64_t n);
  void (*margin_bins)(const MarginBins<T>& bins, const T* scores, int64_t n, T* out);
  void (*exp)(T factor, const T* x, int64_t n, T* y);
  void (*add_softmax_gradient)(const T* p, const T* d, T shift, int64_t n, T* out);
  void (*add_sigmoid_gradient)(const T* p, T normalizer, const T* d, T shift, int64_t n, T* out);
  void (*add_to_sums)(const T* x, int64_t n, double* sums);

  static const ScoreKernels& Get();
};
template <>
const ScoreKernels<float>& ScoreKernels<float>::Get();
template <>
const ScoreKernels<double>& ScoreKernels<double>::Get();

// p = softmax(logits); returns log(sum exp(logits)). REQUIRES: n >= 1.
template <typename T>
T SoftmaxRow(const T* logits, int64_t n, T* p) {
  return ScoreKernels<T>::Get().softmax(logits, n, p);
}

// s = 1 / (1 + exp(-logits)), without overflow; returns the sum.
template <typename T>
T SigmoidRow(const T* logits, int64_t n, T* s) {
  return ScoreKernels<T>::Get().sigmoid(logits, n, s);
}

// x *= factor.
template <typename T>
void ScaleRow(T factor, int64_t n, T* x) {
  ScoreKernels<T>::Get().scale(factor, n, x);
}

// y += alpha * x.
template <typename T>
void AddScaledRow(T alpha, const T* x, int64_t n, T* y) {
  ScoreKernels<T>::Get().add_scaled(alpha, x, n, y);
}

template <typename T>
T DotRow(const T* x, const T* y, int64_t n) {
  return ScoreKernels<T>::Get().dot(x, y, n);
}

// -sum p log p, where 0 log 0 = 0.
template <typename T>
T EntropyRow(const T* p, int64_t n) {
  return ScoreKernels<T>::Get().entropy(p, n);
}

// out = the interval of each score, a whole number; what lies beyond goes to the outermost, what is
// not a number to the first.
template <typename T>
void MarginBinsRow(const MarginBins<T>& bins, const T* scores, int64_t n, T* out) {
  ScoreKernels<T>::Get().margin_bins(bins, scores, n, out);
}

// y = exp(factor * x), to the last digit; of more than 88 (double: 700), the exponential of that.
template <typename T>
void ExpRow(T factor, const T* x, int64_t n, T* y) {
  ScoreKernels<T>::Get().exp(factor, x, n, y);
}

// out += p * (d - shift).
template <typename T>
void AddSoftmaxGradientRow(const T* p, const T* d, T shift, int64_t n, T* out) {
  ScoreKernels<T>::Get().add_softmax_gradient(p, d, shift, n, out);
}

// out += s (1 - s) (d - shift) / normalizer, s = normalizer * p.
template <typename T>
void AddSigmoidGradientRow(const T* p, T normalizer, const T* d, T shift, int64_t n, T* out) {
  ScoreKernels<T>::Get().add_sigmoid_gradient(p, normalizer, d, shift, n, out);
}

// sums += x, each element widened first.
template <typename T>
void AddRowToSums(const T* x, int64_t n, double* sums) {
  ScoreKernels<T>::Get().add_to_sums(x, n, sums);
}

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_ROUTING_CPU_SCORE_ROWS_H_
