#ifndef EQUIPOISE_ROUTING_CPU_SCORE_ROWS_H_
#define EQUIPOISE_ROUTING_CPU_SCORE_ROWS_H_

#include <cstdint>

// Vector code over the scores of one token, n = number of experts. T is float or double, and sums
// over a row are taken in T. Pointers need no alignment; outputs may be the inputs. What is not
// finite becomes NaN, so that an overflowed logit shows in the loss instead of vanishing.
namespace equipoise::cpu {

// p = softmax(logits); returns log(sum exp(logits)). REQUIRES: n >= 1.
template <typename T>
T SoftmaxRow(const T* logits, int64_t n, T* p);

// s = 1 / (1 + exp(-logits)), without overflow; returns the sum.
template <typename T>
T SigmoidRow(const T* logits, int64_t n, T* s);

// x *= factor.
template <typename T>
void ScaleRow(T factor, int64_t n, T* x);

// y += alpha * x.
template <typename T>
void AddScaledRow(T alpha, const T* x, int64_t n, T* y);

template <typename T>
T DotRow(const T* x, const T* y, int64_t n);

// -sum p log p, where 0 log 0 = 0.
template <typename T>
T EntropyRow(const T* p, int64_t n);

// out += p * (d - shift).
template <typename T>
void AddSoftmaxGradientRow(const T* p, const T* d, T shift, int64_t n, T* out);

// out += s (1 - s) (d - shift) / normalizer, s = normalizer * p.
template <typename T>
void AddSigmoidGradientRow(const T* p, T normalizer, const T* d, T shift, int64_t n, T* out);

// sums += x, each element widened first.
template <typename T>
void AddRowToSums(const T* x, int64_t n, double* sums);

// The `top_k` largest of `scores`, descending, ties to the lowest index: their indices in ids. NaNs
// are chosen only for want of others or when among the first; ids are always different experts.
// REQUIRES: 1 <= top_k <= n. Expected O(n + top_k^2 log(n / top_k)), at most O(n top_k).
template <typename T>
void TopKRow(const T* scores, int64_t n, int64_t top_k, int32_t* ids);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_ROUTING_CPU_SCORE_ROWS_H_
