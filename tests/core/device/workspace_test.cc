#include "core/device/workspace.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "core/device/device.h"
#include "gtest/gtest.h"

namespace equipoise {
namespace {

class WorkspaceTest : public ::testing::Test {
 protected:
  std::unique_ptr<Workspace> Make(size_t bytes) {
    auto workspace = Workspace::Create(*device_, bytes);
    EXPECT_TRUE(workspace.ok()) << workspace.status();
    return *std::move(workspace);
  }
  const std::unique_ptr<Device> device_ = MakeCpuDevice();
};

TEST_F(WorkspaceTest, TensorsAreAlignedAndDisjoint) {
  const auto workspace = Make(4096);
  const TensorView a = workspace->Allocate(DType::kF32, {3});
  const TensorView b = workspace->Allocate(DType::kF64, {2, 5});
  const TensorView c = workspace->Allocate(DType::kU8, {1});
  for (const TensorView& view : {a, b, c}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.raw()) % 64, 0u);
    EXPECT_EQ(view.device(), DeviceKind::kCpu);
  }
  EXPECT_EQ(static_cast<std::byte*>(b.raw()) - static_cast<std::byte*>(a.raw()), 64);
  EXPECT_EQ(static_cast<std::byte*>(c.raw()) - static_cast<std::byte*>(b.raw()), 128);
  EXPECT_EQ(b.shape(), (Shape{2, 5}));
  EXPECT_EQ(b.dtype(), DType::kF64);
}

TEST_F(WorkspaceTest, ReleaseGivesTheSameMemoryAgain) {
  const auto workspace = Make(4096);
  workspace->Allocate(DType::kF32, {3});
  const size_t mark = workspace->mark();
  const void* first = workspace->Allocate(DType::kF32, {100}).raw();
  workspace->Release(mark);
  EXPECT_EQ(workspace->mark(), mark);
  EXPECT_EQ(workspace->Allocate(DType::kF32, {7}).raw(), first);
}

TEST_F(WorkspaceTest, FramesNest) {
  const auto workspace = Make(4096);
  {
    const WorkspaceFrame outer(*workspace);
    workspace->Allocate(DType::kF32, {16});
    {
      const WorkspaceFrame inner(*workspace);
      workspace->Allocate(DType::kF32, {16});
      EXPECT_EQ(workspace->mark(), 128u);
    }
    EXPECT_EQ(workspace->mark(), 64u);
  }
  EXPECT_EQ(workspace->mark(), 0u);
  EXPECT_EQ(workspace->high_water_bytes(), 128u);
}

TEST_F(WorkspaceTest, EmptyTensorsTakeNothing) {
  const auto workspace = Make(0);
  const TensorView none = workspace->Allocate(DType::kF64, {0, 7});
  EXPECT_EQ(none.num_elements(), 0);
  EXPECT_FALSE(none.absent());
  EXPECT_EQ(workspace->mark(), 0u);
}

TEST_F(WorkspaceTest, AReservationIsABoundNotACost) {
  // ThreadSanitizer leaves a program little more than 1 TiB of addresses to map.
  constexpr size_t kMoreThanMemory = size_t{1} << 38;
  const auto workspace = Make(kMoreThanMemory);
  EXPECT_EQ(workspace->reserved_bytes(), kMoreThanMemory);
  const auto values = workspace->Allocate(DType::kF32, {1024}).cpu<float>();
  values[0] = 1.0f;
  values[1023] = 2.0f;
  EXPECT_EQ(values[0] + values[1023], 3.0f);
}

TEST_F(WorkspaceTest, FillsToTheLastByteAndDiesBeyond) {
  const auto workspace = Make(128);
  workspace->Allocate(DType::kU8, {64});
  EXPECT_DEATH(workspace->Allocate(DType::kU8, {65}), "workspace of 128 bytes is full: 64 in use");
  workspace->Allocate(DType::kU8, {64});
  EXPECT_DEATH(workspace->Allocate(DType::kU8, {1}), "full");
}

TEST_F(WorkspaceTest, ReleasingForwardDies) {
  const auto workspace = Make(128);
  EXPECT_DEATH(workspace->Release(64), "64 against 0");
}

}  // namespace
}  // namespace equipoise
