#ifndef EQUIPOISE_COMM_HEAP_MEMORY_H_
#define EQUIPOISE_COMM_HEAP_MEMORY_H_

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "comm/shared_memory.h"

namespace equipoise::comm {

// Shared memory for ranks of one process.
class HeapMemory final : public SharedMemory {
 public:
  // bytes[r] for rank r.
  explicit HeapMemory(std::vector<size_t> bytes) : bytes_(std::move(bytes)) {
    for (const size_t count : bytes_) parts_.emplace_back(count / sizeof(Line) + 1);
  }

  std::span<std::byte> of(int rank) const override {
    std::vector<Line>& part = parts_[static_cast<size_t>(rank)];
    return std::as_writable_bytes(std::span(part)).first(bytes_[static_cast<size_t>(rank)]);
  }

 private:
  struct alignas(64) Line {
    std::byte bytes[64] = {};
  };

  const std::vector<size_t> bytes_;
  mutable std::vector<std::vector<Line>> parts_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_HEAP_MEMORY_H_
