#include "comm/backends/mpi/status.h"

#include <mpi.h>

#include <array>
#include <string>

#include "absl/strings/str_cat.h"

namespace equipoise::comm {

absl::Status MpiStatus(int code, const char* expression) {
  if (code == MPI_SUCCESS) return absl::OkStatus();
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) length = 0;
  return absl::InternalError(absl::StrCat(
      expression, " failed with code ", code, ": ",
      length == 0 ? "(no text)" : std::string(text.data(), static_cast<size_t>(length))));
}

}  // namespace equipoise::comm
