#ifndef EQUIPOISE_COMM_EXCHANGE_ROW_EXCHANGE_H_
#define EQUIPOISE_COMM_EXCHANGE_ROW_EXCHANGE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"

namespace equipoise::comm {

// Rows per peer, as this rank sees one all-to-all. A value.
struct RowCounts {
  std::vector<int64_t> send;     // [size()], rows from here to rank i
  std::vector<int64_t> receive;  // [size()], rows from rank i to here

  int64_t total_send() const;
  int64_t total_receive() const;
  // The way back: rows return to where they came from.
  RowCounts Transposed() const { return {receive, send}; }
};

// One all-to-all algorithm over the ranks of a communicator. Knows rows, ranks and nodes; nothing
// of experts. Every algorithm delivers the same rows to the same places as `flat`.
// One per rank; belongs to one thread; the communicator outlives it.
class RowExchange {
 public:
  virtual ~RowExchange() = default;
  // As in configurations: "flat".
  virtual const std::string& name() const = 0;

  // Starts moving `send` [counts.total_send(), ...] rows, grouped by destination rank, into
  // `receive` [counts.total_receive(), ...], grouped by source rank. Completion as Communicator.
  virtual absl::StatusOr<Work> Start(const Context& context, const RowCounts& counts,
                                     ConstTensorView send, TensorView receive) = 0;
};

// One message per pair of ranks: T*K*(R-1)/R*H elements leave a rank in R-1 messages.
std::unique_ptr<RowExchange> MakeFlatRowExchange(Communicator& group);

// The algorithms that configurations can name, in the order of the table in row_exchange.cc. To add
// one, write its file and add a line there.
std::vector<std::string> RowExchangeKinds();

// The algorithm called `kind`. NotFound, naming those there are, for any other name. Collective
// over `group`.
absl::StatusOr<std::unique_ptr<RowExchange>> MakeRowExchange(const std::string& kind,
                                                             Communicator& group);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_EXCHANGE_ROW_EXCHANGE_H_
