#include "core/device/workspace.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise {
namespace {

constexpr size_t kAlignment = 64;

}  // namespace

absl::StatusOr<std::unique_ptr<Workspace>> Workspace::Create(Device& device, size_t bytes) {
  EQ_ASSIGN_OR_RETURN(void* base, device.Reserve(bytes));
  return std::unique_ptr<Workspace>(new Workspace(&device, base, bytes));
}

Workspace::~Workspace() { device_->Unreserve(base_, reserved_); }

TensorView Workspace::Allocate(DType dtype, const Shape& shape) {
  const size_t bytes = static_cast<size_t>(shape.num_elements()) * SizeOf(dtype);
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  EQ_CHECK(rounded <= reserved_ - used_)
      << "workspace of " << reserved_ << " bytes is full: " << used_ << " in use, " << bytes
      << " more asked for a tensor " << shape;
  void* data = static_cast<std::byte*>(base_) + used_;
  used_ += rounded;
  high_water_ = std::max(high_water_, used_);
  return {data, dtype, shape, device_->kind()};
}

void Workspace::Release(size_t mark) {
  EQ_CHECK_LE(mark, used_);
  used_ = mark;
}

}  // namespace equipoise
