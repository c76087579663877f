#include "core/ops/cpu/rope.h"

#include <algorithm>
#include <cmath>

namespace equipoise::cpu {
namespace {

// Positions are split as kFine * coarse + fine, and an angle's cosine and sine come from those of
// the two parts by the addition theorem, in double: one sine and cosine per frequency for every
// kFine positions instead of one for each, with a rounding error of a few double epsilons.
constexpr int64_t kFine = 64;

struct Angles {
  double* cosine;
  double* sine;
};

Angles AllocateAngles(const Context& context, int64_t rows, int64_t half) {
  const auto allocate = [&] {
    return context.scratch->Allocate(DType::kF64, {rows, half}).cpu<double>().data();
  };
  double* cosine = allocate();
  return {cosine, allocate()};
}

void FillAngles(double theta, int64_t position, int64_t half, Angles row) {
  for (int64_t d = 0; d < half; ++d) {
    const double turn = -static_cast<double>(d) / static_cast<double>(half);
    const double angle = static_cast<double>(position) * std::pow(theta, turn);
    row.cosine[d] = std::cos(angle);
    row.sine[d] = std::sin(angle);
  }
}

// cos(a + b), sin(a + b), with the sine's sign turned for the rotation back.
template <typename T>
void AddAngles(const Angles& a, const Angles& b, int64_t half, double sign, T* cosine, T* sine) {
  for (int64_t d = 0; d < half; ++d) {
    cosine[d] = static_cast<T>(a.cosine[d] * b.cosine[d] - a.sine[d] * b.sine[d]);
    sine[d] = static_cast<T>(sign * (a.sine[d] * b.cosine[d] + a.cosine[d] * b.sine[d]));
  }
}

// Every head of the row. The inner loop is plain so that the compiler vectorises it: it waits for
// memory, not for arithmetic.
template <typename T>
void RotateRow(const T* cosine, const T* sine, int64_t heads, int64_t half, T* row) {
  for (int64_t head = 0; head < heads; ++head) {
    T* __restrict low = row + head * 2 * half;
    T* __restrict high = low + half;
    for (int64_t d = 0; d < half; ++d) {
      const T a = low[d], b = high[d];
      low[d] = a * cosine[d] - b * sine[d];
      high[d] = b * cosine[d] + a * sine[d];
    }
  }
}

template <typename T>
void RotateAll(const Context& context, double theta, int64_t sequence_length, double sign,
               TensorView x) {
  const WorkspaceFrame frame(*context.scratch);
  const int64_t num_rows = x.dim(0), heads = x.dim(1), half = x.dim(2) / 2;
  const Angles fine = AllocateAngles(context, kFine, half);
  const Angles coarse = AllocateAngles(context, 1, half);
  T* cosine = context.scratch->Allocate(DTypeOf<T>::value, {half}).template cpu<T>().data();
  T* sine = context.scratch->Allocate(DTypeOf<T>::value, {half}).template cpu<T>().data();
  for (int64_t b = 0; b < std::min(kFine, sequence_length); ++b) {
    FillAngles(theta, b, half, {fine.cosine + b * half, fine.sine + b * half});
  }
  T* data = x.cpu<T>().data();
  for (int64_t position = 0; position < sequence_length; ++position) {
    const int64_t b = position % kFine;
    if (b == 0) FillAngles(theta, position, half, coarse);
    AddAngles(coarse, {fine.cosine + b * half, fine.sine + b * half}, half, sign, cosine, sine);
    for (int64_t t = position; t < num_rows; t += sequence_length) {
      RotateRow(cosine, sine, heads, half, data + t * heads * 2 * half);
    }
  }
}

}  // namespace

void Rotate(const Context& context, double theta, int64_t sequence_length,
            RotationDirection direction, TensorView x) {
  if (x.num_elements() == 0) return;
  const double sign = direction == RotationDirection::kForward ? 1.0 : -1.0;
  DispatchFloat(x.dtype(),
                [&]<typename T>() { RotateAll<T>(context, theta, sequence_length, sign, x); });
}

}  // namespace equipoise::cpu
