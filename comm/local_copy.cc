#include "comm/local_copy.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {

absl::Status LocalCopy(const Context& context, ConstTensorView send, TensorView receive) {
  EQ_CHECK_EQ(send.num_bytes(), receive.num_bytes());
  EQ_RETURN_IF_ERROR(RequireHostMemory(context, send, "local copy"));
  EQ_RETURN_IF_ERROR(RequireHostMemory(context, receive, "local copy"));
  if (send.num_bytes() == 0 || send.raw() == receive.raw()) return absl::OkStatus();
  std::memcpy(receive.raw(), send.raw(), send.num_bytes());
  return absl::OkStatus();
}

absl::Status RequireHostMemory(const Context& context, ConstTensorView tensor,
                               const char* backend) {
  if (tensor.device() != DeviceKind::kCpu) {
    return absl::UnimplementedError(
        absl::StrCat(backend, " moves host memory only; a tensor of another device was given"));
  }
  if (context.stream != nullptr) context.stream->Synchronize();
  return absl::OkStatus();
}

}  // namespace equipoise::comm
