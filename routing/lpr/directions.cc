#include "routing/lpr/directions.h"

#include <cmath>

#include "core/base/check.h"
#include "routing/cpu/score_rows.h"

namespace equipoise::routing {
namespace {

constexpr double kSmallestLength = 1e-8;

}  // namespace

void ComputeDirections(const Context&, ConstTensorView vectors, TensorView directions,
                       TensorView inverse_norms) {
  const int64_t rows = directions.dim(0);
  const int64_t dimensions = directions.dim(1);
  const int64_t stride = vectors.dim(1);
  EQ_CHECK(vectors.dim(0) == rows && stride >= dimensions && inverse_norms.dim(0) == rows);
  DispatchFloat(directions.dtype(), [&]<typename T>() {
    const T* vector = vectors.cpu<T>().data();
    T* direction = directions.cpu<T>().data();
    const T largest = static_cast<T>(1.0 / kSmallestLength);
    for (T& inverse : inverse_norms.cpu<T>()) {
      inverse = T{1} / std::sqrt(cpu::DotRow(vector, vector, dimensions));
      // NaN stays NaN.
      if (inverse > largest) inverse = largest;
      for (int64_t d = 0; d < dimensions; ++d) direction[d] = inverse * vector[d];
      vector += stride;
      direction += dimensions;
    }
  });
}

void AddDirectionsGradient(const Context&, ConstTensorView directions,
                           ConstTensorView inverse_norms, ConstTensorView ddirections,
                           TensorView dvectors) {
  const int64_t dimensions = directions.dim(1);
  const int64_t stride = dvectors.dim(1);
  EQ_CHECK_EQ(ddirections.shape(), directions.shape());
  EQ_CHECK(dvectors.dim(0) == directions.dim(0) && stride >= dimensions);
  DispatchFloat(directions.dtype(), [&]<typename T>() {
    const T* u = directions.cpu<T>().data();
    const T* du = ddirections.cpu<T>().data();
    T* out = dvectors.cpu<T>().data();
    const T largest = static_cast<T>(1.0 / kSmallestLength);
    for (const T inverse : inverse_norms.cpu<T>()) {
      if (!(inverse >= largest)) {
        const T radial = cpu::DotRow(u, du, dimensions);
        for (int64_t d = 0; d < dimensions; ++d) out[d] += inverse * (du[d] - radial * u[d]);
      }
      u += dimensions;
      du += dimensions;
      out += stride;
    }
  });
}

}  // namespace equipoise::routing
