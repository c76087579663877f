#include "core/tensor/tensor.h"

#include <memory>
#include <string>
#include <utility>

#include "core/device/device.h"
#include "gtest/gtest.h"

namespace equipoise {
namespace {

// The CPU, counting what is allocated and not freed; fails when asked for more than `limit`.
class CountingDevice final : public Device {
 public:
  explicit CountingDevice(size_t limit) : limit_(limit) {}
  size_t live_bytes() const { return live_bytes_; }

  DeviceKind kind() const override { return cpu_->kind(); }
  std::string description() const override { return "counting"; }
  absl::StatusOr<void*> Allocate(size_t bytes) override {
    if (live_bytes_ + bytes > limit_) return absl::ResourceExhaustedError("limit");
    live_bytes_ += bytes;
    return cpu_->Allocate(bytes);
  }
  void Free(void* data, size_t bytes) override {
    live_bytes_ -= bytes;
    cpu_->Free(data, bytes);
  }
  absl::StatusOr<void*> Reserve(size_t bytes) override { return cpu_->Reserve(bytes); }
  void Unreserve(void* data, size_t bytes) override { cpu_->Unreserve(data, bytes); }
  void Zero(void* data, size_t bytes) override { cpu_->Zero(data, bytes); }
  void CopyToHost(void* host, const void* data, size_t bytes) override {
    cpu_->CopyToHost(host, data, bytes);
  }
  void CopyFromHost(void* data, const void* host, size_t bytes) override {
    cpu_->CopyFromHost(data, host, bytes);
  }

 private:
  const size_t limit_;
  size_t live_bytes_ = 0;
  const std::unique_ptr<Device> cpu_ = MakeCpuDevice();
};

TEST(TensorTest, StartsAtZero) {
  CountingDevice device(1000);
  const Tensor tensor = Tensor::Create(device, DType::kF64, {3, 5}).value();
  EXPECT_EQ(tensor.view().shape(), (Shape{3, 5}));
  for (const double value : tensor.view().cpu<double>()) EXPECT_EQ(value, 0.0);
  EXPECT_EQ(device.live_bytes(), 120u);
}

TEST(TensorTest, OwnsItsMemoryThroughMoves) {
  CountingDevice device(1000);
  {
    Tensor a = Tensor::Create(device, DType::kF32, {4}).value();
    const void* memory = a.view().raw();
    Tensor b = std::move(a);
    EXPECT_EQ(b.view().raw(), memory);
    EXPECT_EQ(device.live_bytes(), 16u);
    Tensor c = Tensor::Create(device, DType::kF32, {8}).value();
    EXPECT_EQ(device.live_bytes(), 48u);
    c = std::move(b);
    EXPECT_EQ(c.view().raw(), memory);
    EXPECT_EQ(device.live_bytes(), 16u);
    Tensor& same = c;
    c = std::move(same);
    EXPECT_EQ(c.view().raw(), memory);
  }
  EXPECT_EQ(device.live_bytes(), 0u);
}

TEST(TensorTest, AMovedFromTensorIsAbsent) {
  CountingDevice device(1000);
  Tensor a = Tensor::Create(device, DType::kF32, {4}).value();
  const Tensor b = std::move(a);
  EXPECT_TRUE(a.view().absent());  // NOLINT(bugprone-use-after-move): documented state
  EXPECT_TRUE(Tensor().view().absent());
}

TEST(TensorTest, EmptyShapesAreTensorsToo) {
  CountingDevice device(0);
  const Tensor tensor = Tensor::Create(device, DType::kF32, {0, 4}).value();
  EXPECT_EQ(tensor.view().num_elements(), 0);
  EXPECT_FALSE(tensor.view().absent());
}

TEST(TensorTest, NoMemoryIsAStatus) {
  CountingDevice device(63);
  EXPECT_EQ(Tensor::Create(device, DType::kF32, {16}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(device.live_bytes(), 0u);
}

}  // namespace
}  // namespace equipoise
