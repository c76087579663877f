#ifndef EQUIPOISE_COMM_BACKENDS_MPI_SCRATCH_POOL_H_
#define EQUIPOISE_COMM_BACKENDS_MPI_SCRATCH_POOL_H_

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace equipoise::comm {

// Host memory of collectives in flight, used again and again: after the first step of a training
// run none is allocated any more. Not thread-safe.
class ScratchPool {
 public:
  struct Buffer {
    std::unique_ptr<std::byte[]> data;
    size_t capacity = 0;
  };

  // The smallest free buffer that holds `bytes`, or a new one in place of the largest that does
  // not.
  Buffer Take(size_t bytes) {
    const auto larger = std::lower_bound(
        free_.begin(), free_.end(), bytes,
        [](const Buffer& buffer, size_t wanted) { return buffer.capacity < wanted; });
    if (larger != free_.end()) {
      Buffer buffer = std::move(*larger);
      free_.erase(larger);
      return buffer;
    }
    if (!free_.empty()) free_.pop_back();
    return {std::make_unique_for_overwrite<std::byte[]>(bytes), bytes};
  }

  void GiveBack(Buffer buffer) {
    const auto place =
        std::lower_bound(free_.begin(), free_.end(), buffer,
                         [](const Buffer& a, const Buffer& b) { return a.capacity < b.capacity; });
    free_.insert(place, std::move(buffer));
  }

 private:
  std::vector<Buffer> free_;  // by capacity
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_MPI_SCRATCH_POOL_H_
