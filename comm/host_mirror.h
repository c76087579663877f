#ifndef EQUIPOISE_COMM_HOST_MIRROR_H_
#define EQUIPOISE_COMM_HOST_MIRROR_H_

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/check.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

// The one place where small device tensors (counts, offsets) are brought to the host, because a
// transport needs them as arguments. Each call waits for the stream, so a step should need few.
namespace equipoise::comm {

// Copies `values` to `host`. REQUIRES: T is its element type, host.size() == num_elements().
template <typename T>
void MirrorToHost(const Context& context, ConstTensorView values, std::span<T> host) {
  EQ_CHECK_EQ(values.dtype(), DTypeOf<T>::value);
  EQ_CHECK_EQ(static_cast<size_t>(values.num_elements()), host.size());
  if (context.stream != nullptr) context.stream->Synchronize();
  context.device->CopyToHost(host.data(), values.raw(), host.size_bytes());
}

// The same into a new vector; allocates.
template <typename T>
std::vector<T> HostMirror(const Context& context, ConstTensorView values) {
  std::vector<T> host(static_cast<size_t>(values.num_elements()));
  MirrorToHost<T>(context, values, host);
  return host;
}

// The way back: copies `host` into `values`. Done when it returns.
template <typename T>
void MirrorToDevice(const Context& context, std::span<const T> host, TensorView values) {
  EQ_CHECK_EQ(values.dtype(), DTypeOf<T>::value);
  EQ_CHECK_EQ(static_cast<size_t>(values.num_elements()), host.size());
  if (context.stream != nullptr) context.stream->Synchronize();
  context.device->CopyFromHost(values.raw(), host.data(), host.size_bytes());
}

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_HOST_MIRROR_H_
