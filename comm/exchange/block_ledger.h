#ifndef EQUIPOISE_COMM_EXCHANGE_BLOCK_LEDGER_H_
#define EQUIPOISE_COMM_EXCHANGE_BLOCK_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace equipoise::comm {

// Who has what of the shared memory of R ranks: which parts of their slabs are taken, each rank's
// by blocks that are as large as it needs. Pure bookkeeping, by first fit: ranks that make the same
// calls in the same order find the same places for all of them, without a word. A value.
class BlockLedger {
 public:
  explicit BlockLedger(int ranks) : ranks_(static_cast<size_t>(ranks)) {}

  // Bytes [begin, end) of a rank's part of a slab.
  struct Place {
    size_t slab = 0;
    size_t begin = 0;
    size_t end = 0;
    size_t size() const { return end - begin; }
  };
  using Places = std::vector<Place>;  // [R]

  // A slab more, of bytes[r] for rank r.
  void AddSlab(std::span<const size_t> bytes);
  // Without slabs again. REQUIRES: empty().
  void RemoveSlabs();

  // bytes[r] for every rank r, each in one piece; nothing where one of them does not fit.
  std::optional<Places> Take(std::span<const size_t> bytes);
  void GiveBack(const Places& places);

  // Nothing is taken.
  bool empty() const { return num_taken_ == 0; }
  size_t num_slabs() const { return num_slabs_; }
  // In all slabs; and the most that was ever taken at a time since there were none.
  size_t capacity(size_t rank) const { return ranks_[rank].capacity; }
  size_t high_water(size_t rank) const { return ranks_[rank].high_water; }

 private:
  struct Rank {
    std::vector<Place> free;  // in order, never touching each other
    size_t capacity = 0;
    size_t taken = 0;
    size_t high_water = 0;
  };

  std::vector<Rank> ranks_;
  size_t num_slabs_ = 0;
  int64_t num_taken_ = 0;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_EXCHANGE_BLOCK_LEDGER_H_
