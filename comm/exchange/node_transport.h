#ifndef EQUIPOISE_COMM_EXCHANGE_NODE_TRANSPORT_H_
#define EQUIPOISE_COMM_EXCHANGE_NODE_TRANSPORT_H_

#include <cstdint>

namespace equipoise::comm {

// How rows get from rank to rank inside a node.
enum class NodeTransport : uint8_t {
  kMessages,
  // Written in place into memory that the ranks share, where it can be had: see node_memory.h.
  kSharedMemory,
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_EXCHANGE_NODE_TRANSPORT_H_
