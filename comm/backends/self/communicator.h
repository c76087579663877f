#ifndef EQUIPOISE_COMM_BACKENDS_SELF_COMMUNICATOR_H_
#define EQUIPOISE_COMM_BACKENDS_SELF_COMMUNICATOR_H_

#include <memory>
#include <string>

#include "comm/communicator.h"

namespace equipoise::comm {

// A world of one rank: this process, without MPI. Every verb is a copy within host memory, done
// when it returns; a wait has nobody to wait for. Abort() makes every later verb return Aborted.
std::unique_ptr<Communicator> MakeSelfCommunicator(const std::string& name = "world");

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_SELF_COMMUNICATOR_H_
