#ifndef EQUIPOISE_CORE_BASE_STATUS_MACROS_H_
#define EQUIPOISE_CORE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function when `expr`, an absl::Status, is not OK.
#define EQ_RETURN_IF_ERROR(expr)                                                 \
  do {                                                                           \
    if (::absl::Status eq_status_ = (expr); !eq_status_.ok()) return eq_status_; \
  } while (false)

// EQ_ASSIGN_OR_RETURN(auto file, OpenFile(path));  Assigns the value of an absl::StatusOr, or
// returns its status from the enclosing function.
#define EQ_ASSIGN_OR_RETURN(lhs, expr) \
  EQ_ASSIGN_OR_RETURN_IMPL_(EQ_STATUS_CONCAT_(eq_status_or_, __LINE__), lhs, expr)

#define EQ_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr)   \
  auto result = (expr);                                \
  if (!result.ok()) return std::move(result).status(); \
  lhs = std::move(result).value()

#define EQ_STATUS_CONCAT_(a, b) EQ_STATUS_CONCAT_IMPL_(a, b)
#define EQ_STATUS_CONCAT_IMPL_(a, b) a##b

#endif  // EQUIPOISE_CORE_BASE_STATUS_MACROS_H_
