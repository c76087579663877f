#ifndef EQUIPOISE_COMM_LOCAL_COPY_H_
#define EQUIPOISE_COMM_LOCAL_COPY_H_

#include "absl/status/status.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::comm {

// What a collective of one rank comes to: `receive` becomes `send`. They may be the same memory,
// but may not overlap otherwise. Unimplemented for memory other than the host's.
// REQUIRES: equal num_bytes().
absl::Status LocalCopy(const Context& context, ConstTensorView send, TensorView receive);

// OK when the tensor lies in host memory, which is all that the self, thread and mpi backends
// move. Waits for the stream, so that what was enqueued before has been written.
absl::Status RequireHostMemory(const Context& context, ConstTensorView tensor, const char* backend);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_LOCAL_COPY_H_
