#include "comm/exchange/row_exchange.h"

#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace equipoise::comm {
namespace {

struct Entry {
  const char* kind;
  std::unique_ptr<RowExchange> (*make)(Communicator& group);
};
constexpr Entry kRegistry[] = {
    {"flat", MakeFlatRowExchange},
};

}  // namespace

std::vector<std::string> RowExchangeKinds() {
  std::vector<std::string> kinds;
  for (const Entry& entry : kRegistry) kinds.emplace_back(entry.kind);
  return kinds;
}

absl::StatusOr<std::unique_ptr<RowExchange>> MakeRowExchange(const std::string& kind,
                                                             Communicator& group) {
  for (const Entry& entry : kRegistry) {
    if (kind == entry.kind) return entry.make(group);
  }
  return absl::NotFoundError(absl::StrCat("no exchange is called '", kind, "'; there are ",
                                          absl::StrJoin(RowExchangeKinds(), ", ")));
}

int64_t RowCounts::total_send() const {
  return std::accumulate(send.begin(), send.end(), int64_t{0});
}

int64_t RowCounts::total_receive() const {
  return std::accumulate(receive.begin(), receive.end(), int64_t{0});
}

}  // namespace equipoise::comm
