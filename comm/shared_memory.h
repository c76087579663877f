#ifndef EQUIPOISE_COMM_SHARED_MEMORY_H_
#define EQUIPOISE_COMM_SHARED_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace equipoise::comm {

// Memory of each rank of a communicator that all its ranks read and write in place, as their own.
// Nothing orders accesses but what ranks tell each other: Flag below, or any collective.
// Made by Communicator::AllocateShared, which it must not outlive; destroyed by all ranks together.
class SharedMemory {
 public:
  virtual ~SharedMemory() = default;
  // What `rank` allocated, as seen from here. Zero at first; aligned to 64 bytes.
  virtual std::span<std::byte> of(int rank) const = 0;
};

// A number in shared memory that only grows: "so many of my steps are done". It has a cache line to
// itself. What its one writer wrote to memory before Raise() is seen by whoever sees the number.
class Flag {
 public:
  static constexpr size_t kBytes = 64;

  // `memory` of at least 8 bytes, zero at first, which outlives this.
  explicit Flag(std::byte* memory) : number_(reinterpret_cast<uint64_t*>(memory)) {}

  void Raise(uint64_t number) const;
  bool Reached(uint64_t number) const;

 private:
  uint64_t* number_;
};

// One step in which ranks write into each other's memory: what this rank has written, and what it
// waits for. A value; see Communicator::ExchangeWrites.
struct SharedWrites {
  // Flags are raised to it, or awaited at it. Grows from step to step that uses a flag.
  uint64_t number = 0;
  // Of this rank, one for each rank that it has written for.
  std::vector<Flag> written = {};
  // Of those that write for this rank, by their ranks in the communicator.
  struct Source {
    int rank = 0;
    Flag flag;
  };
  std::vector<Source> awaited = {};
  // Bytes that this rank has written, by rank; for decorators that count.
  std::vector<int64_t> bytes_to = {};

  // Tells the others.
  void Announce() const;
  // Whether all that is awaited is there. Forgets what is.
  bool Arrived();
  // Who has not written.
  std::vector<int> Missing() const;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_SHARED_MEMORY_H_
