#include "comm/reduce.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace equipoise::comm {
namespace {

// Bytes reduced at a time: a few pages, so that the sum stays in the nearest cache.
constexpr size_t kTileBytes = 16384;

template <typename T>
T Add(T a, T b) {
  return a + b;
}
// Through unsigned: overflow of a signed sum would be undefined.
template <>
int32_t Add(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}
template <>
int64_t Add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
template <>
uint8_t Add(uint8_t a, uint8_t b) {
  return static_cast<uint8_t>(a + b);
}

template <typename T>
void CombineAs(ReduceOp op, void* sum, const void* term, size_t bytes) {
  T* out = static_cast<T*>(sum);
  const T* in = static_cast<const T*>(term);
  const size_t count = bytes / sizeof(T);
  switch (op) {
    case ReduceOp::kSum:
      for (size_t i = 0; i < count; ++i) out[i] = Add<T>(out[i], in[i]);
      return;
    case ReduceOp::kMax:
      for (size_t i = 0; i < count; ++i) out[i] = std::max(out[i], in[i]);
      return;
    case ReduceOp::kMin:
      for (size_t i = 0; i < count; ++i) out[i] = std::min(out[i], in[i]);
      return;
  }
}

}  // namespace

void Combine(ReduceOp op, DType dtype, void* sum, const void* term, size_t bytes) {
  switch (dtype) {
    case DType::kF32:
      return CombineAs<float>(op, sum, term, bytes);
    case DType::kF64:
      return CombineAs<double>(op, sum, term, bytes);
    case DType::kI32:
      return CombineAs<int32_t>(op, sum, term, bytes);
    case DType::kI64:
      return CombineAs<int64_t>(op, sum, term, bytes);
    case DType::kU8:
      return CombineAs<uint8_t>(op, sum, term, bytes);
  }
}

void CombineBlocks(ReduceOp op, DType dtype, const void* blocks, size_t num_blocks, size_t bytes,
                   void* out) {
  const std::byte* terms = static_cast<const std::byte*>(blocks);
  std::byte* sums = static_cast<std::byte*>(out);
  for (size_t offset = 0; offset < bytes; offset += kTileBytes) {
    const size_t tile = std::min(kTileBytes, bytes - offset);
    std::byte* sum = sums + offset;
    if (sum != terms + offset) std::memcpy(sum, terms + offset, tile);
    for (size_t block = 1; block < num_blocks; ++block) {
      Combine(op, dtype, sum, terms + block * bytes + offset, tile);
    }
  }
}

}  // namespace equipoise::comm
