#include "comm/exchange/block_ledger.h"

#include <algorithm>

#include "core/base/check.h"

namespace equipoise::comm {
namespace {

using Place = BlockLedger::Place;

std::vector<Place>::iterator FirstFit(std::vector<Place>& free, size_t bytes) {
  return std::find_if(free.begin(), free.end(),
                      [bytes](const Place& place) { return place.size() >= bytes; });
}

void Insert(std::vector<Place>& free, const Place& place) {
  const auto before = [](const Place& a, const Place& b) {
    return a.slab != b.slab ? a.slab < b.slab : a.begin < b.begin;
  };
  auto at = free.insert(std::lower_bound(free.begin(), free.end(), place, before), place);
  const auto joins = [](const Place& a, const Place& b) {
    return a.slab == b.slab && a.end == b.begin;
  };
  if (at + 1 != free.end() && joins(*at, *(at + 1))) {
    at->end = (at + 1)->end;
    at = free.erase(at + 1) - 1;
  }
  if (at != free.begin() && joins(*(at - 1), *at)) {
    (at - 1)->end = at->end;
    free.erase(at);
  }
}

}  // namespace

void BlockLedger::AddSlab(std::span<const size_t> bytes) {
  EQ_CHECK_EQ(bytes.size(), ranks_.size());
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    ranks_[rank].capacity += bytes[rank];
    if (bytes[rank] > 0) ranks_[rank].free.push_back({num_slabs_, 0, bytes[rank]});
  }
  ++num_slabs_;
}

void BlockLedger::RemoveSlabs() {
  EQ_CHECK(empty());
  for (Rank& rank : ranks_) rank = {};
  num_slabs_ = 0;
}

std::optional<BlockLedger::Places> BlockLedger::Take(std::span<const size_t> bytes) {
  EQ_CHECK_EQ(bytes.size(), ranks_.size());
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    std::vector<Place>& free = ranks_[rank].free;
    if (bytes[rank] > 0 && FirstFit(free, bytes[rank]) == free.end()) return std::nullopt;
  }
  Places places;
  for (size_t r = 0; r < ranks_.size(); ++r) {
    Place& taken = places.emplace_back();
    if (bytes[r] == 0) continue;
    Rank& rank = ranks_[r];
    const auto from = FirstFit(rank.free, bytes[r]);
    taken = {from->slab, from->begin, from->begin + bytes[r]};
    from->begin = taken.end;
    if (from->size() == 0) rank.free.erase(from);
    rank.taken += bytes[r];
    rank.high_water = std::max(rank.high_water, rank.taken);
  }
  ++num_taken_;
  return places;
}

void BlockLedger::GiveBack(const Places& places) {
  EQ_CHECK_EQ(places.size(), ranks_.size());
  EQ_CHECK_GT(num_taken_, 0);
  for (size_t rank = 0; rank < ranks_.size(); ++rank) {
    if (places[rank].size() == 0) continue;
    ranks_[rank].taken -= places[rank].size();
    Insert(ranks_[rank].free, places[rank]);
  }
  --num_taken_;
}

}  // namespace equipoise::comm
