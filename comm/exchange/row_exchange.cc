#include "comm/exchange/row_exchange.h"

#include <numeric>

namespace equipoise::comm {

int64_t RowCounts::total_send() const {
  return std::accumulate(send.begin(), send.end(), int64_t{0});
}

int64_t RowCounts::total_receive() const {
  return std::accumulate(receive.begin(), receive.end(), int64_t{0});
}

}  // namespace equipoise::comm
