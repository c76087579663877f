#ifndef EQUIPOISE_CORE_OPS_TRANSPOSE_H_
#define EQUIPOISE_CORE_OPS_TRANSPOSE_H_

namespace equipoise {

// How a matrix product reads a stored matrix: as it is, or with rows and columns exchanged.
enum class Transpose : bool { kNo = false, kYes = true };

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_TRANSPOSE_H_
