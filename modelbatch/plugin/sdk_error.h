// The plugin side's errors: Statuses and exceptions as MB_Error.
#ifndef MODELBATCH_PLUGIN_SDK_ERROR_H_
#define MODELBATCH_PLUGIN_SDK_ERROR_H_

#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>

#include "absl/status/status.h"
#include "modelbatch/plugin/c_api.h"

namespace modelbatch {

// The table's functions of these names.
int32_t ErrorCode(const MB_Error* error);
const char* ErrorMessage(const MB_Error* error);
void ErrorDestroy(MB_Error* error);

// Neither throws. A status that is OK gives NULL.
MB_Error* MakeError(const absl::Status& status) noexcept;
MB_Error* OutOfMemoryError() noexcept;
// `what` may be null.
MB_Error* ExceptionError(const char* call, const char* what) noexcept;

// A function of the table: `implementation`, which may fail and throw. `name`
// is the function's, for messages.
template <typename Args, absl::Status (*implementation)(Args*),
          const char* name>
MB_Error* Entry(Args* args) {
  try {
    return MakeError(implementation(args));
  } catch (const std::bad_alloc&) {
    return OutOfMemoryError();
  } catch (const std::length_error&) {  // more than any machine has
    return OutOfMemoryError();
  } catch (const std::exception& e) {
    return ExceptionError(name, e.what());
  } catch (...) {
    return ExceptionError(name, nullptr);
  }
}

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_SDK_ERROR_H_
