#include <cstdint>
#include <memory>
#include <vector>

#include "core/device/context.h"
#include "core/device/device.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace equipoise {
namespace {

TEST(CpuDeviceTest, AllocatesAlignedMemory) {
  const auto device = MakeCpuDevice();
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{64}, size_t{65}, size_t{1} << 20}) {
    const auto data = device->Allocate(bytes);
    ASSERT_TRUE(data.ok()) << data.status();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(*data) % 64, 0u);
    device->Zero(*data, bytes);
    device->Free(*data, bytes);
  }
}

TEST(CpuDeviceTest, CopiesBothWays) {
  const auto device = MakeCpuDevice();
  const std::vector<int> host = {1, 2, 3, 4, 5};
  const size_t bytes = host.size() * sizeof(int);
  void* const data = device->Allocate(bytes).value();
  device->CopyFromHost(data, host.data(), bytes);
  std::vector<int> back(host.size());
  device->CopyToHost(back.data(), data, bytes);
  EXPECT_EQ(back, host);
  device->Zero(data, bytes);
  device->CopyToHost(back.data(), data, bytes);
  EXPECT_EQ(back, std::vector<int>(host.size(), 0));
  device->Free(data, bytes);
}

TEST(CpuDeviceTest, NothingToCopyMayBeNull) {
  const auto device = MakeCpuDevice();
  device->Zero(nullptr, 0);
  device->CopyFromHost(nullptr, nullptr, 0);
  device->CopyToHost(nullptr, nullptr, 0);
}

TEST(CpuDeviceTest, ReservedMemoryIsZeroAndWritable) {
  const auto device = MakeCpuDevice();
  for (const size_t bytes : {size_t{0}, size_t{4096}, size_t{1} << 34}) {
    const auto data = device->Reserve(bytes);
    ASSERT_TRUE(data.ok()) << data.status();
    if (bytes > 0) {
      auto* last = static_cast<unsigned char*>(*data) + bytes - 1;
      EXPECT_EQ(*last, 0);
      *last = 7;
    }
    device->Unreserve(*data, bytes);
  }
}

TEST(CpuDeviceTest, MoreAddressSpaceThanThereIsFails) {
  const auto device = MakeCpuDevice();
  const auto data = device->Reserve(size_t{1} << 62);
  EXPECT_EQ(data.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(CpuDeviceTest, DescribesItself) {
  const auto device = MakeCpuDevice();
  EXPECT_EQ(device->kind(), DeviceKind::kCpu);
  EXPECT_THAT(device->description(), ::testing::StartsWith("CPU, "));
}

TEST(CpuStreamTest, IsAlwaysDone) { MakeCpuStream()->Synchronize(); }

}  // namespace
}  // namespace equipoise
