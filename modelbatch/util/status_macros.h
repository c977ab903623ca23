// MB_RETURN_IF_ERROR and MB_ASSIGN_OR_RETURN: early return on a failed Status.
#ifndef MODELBATCH_UTIL_STATUS_MACROS_H_
#define MODELBATCH_UTIL_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define MB_RETURN_IF_ERROR(expression)                            \
  do {                                                            \
    if (::absl::Status mb_status = (expression); !mb_status.ok()) \
      return mb_status;                                           \
  } while (false)

#define MB_ASSIGN_OR_RETURN(target, expression) \
  MB_ASSIGN_OR_RETURN_(MB_CONCAT_(mb_or_, __LINE__), target, expression)

#define MB_ASSIGN_OR_RETURN_(result, target, expression) \
  auto result = (expression);                            \
  if (!result.ok()) return std::move(result).status();   \
  target = *std::move(result)

#define MB_CONCAT_(a, b) MB_CONCAT_INNER_(a, b)
#define MB_CONCAT_INNER_(a, b) a##b

#endif  // MODELBATCH_UTIL_STATUS_MACROS_H_
