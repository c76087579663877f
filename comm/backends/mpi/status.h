#ifndef EQUIPOISE_COMM_BACKENDS_MPI_STATUS_H_
#define EQUIPOISE_COMM_BACKENDS_MPI_STATUS_H_

#include "absl/status/status.h"

namespace equipoise::comm {

// OK for MPI_SUCCESS, else Internal with `expression` and MPI's own text.
absl::Status MpiStatus(int code, const char* expression);

}  // namespace equipoise::comm

// Returns from the enclosing function when an MPI call fails.
//   EQ_RETURN_IF_MPI_ERROR(MPI_Comm_rank(comm, &rank));
#define EQ_RETURN_IF_MPI_ERROR(call)                                                         \
  do {                                                                                       \
    if (::absl::Status eq_mpi_ = ::equipoise::comm::MpiStatus((call), #call); !eq_mpi_.ok()) \
      return eq_mpi_;                                                                        \
  } while (false)

#endif  // EQUIPOISE_COMM_BACKENDS_MPI_STATUS_H_
