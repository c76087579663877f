#ifndef EQUIPOISE_COMM_BACKENDS_MPI_NODE_GROUP_H_
#define EQUIPOISE_COMM_BACKENDS_MPI_NODE_GROUP_H_

#include <functional>
#include <string>

namespace equipoise::comm {

// What getenv does.
using Environment = std::function<const char*(const char* name)>;

// Which nodes are near this one, as the launcher tells: EQUIPOISE_NODE_GROUP; else, under Slurm
// with a tree topology, the switches above the node (SLURM_TOPOLOGY_ADDR without its last
// component); else "".
std::string NodeGroup(const Environment& environment);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_MPI_NODE_GROUP_H_
