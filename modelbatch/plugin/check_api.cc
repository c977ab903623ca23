#include "modelbatch/plugin/check_api.h"

#include <cstddef>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

absl::Status CheckVersion(const MB_Header& header) {
  const auto too_short = [&header] {
    return absl::InternalError(absl::StrCat(
        "struct_size of its MB_PluginApi is ", header.struct_size,
        ", expected at least ", MB_SIZE(MB_PluginApi, session_tune)));
  };
  // The header is frozen: without it not even the version can be read.
  if (header.struct_size < sizeof(MB_Header)) return too_short();
  // Any minor: what a plugin lacks or has beyond this, its struct_size says.
  if (header.abi_major != MB_ABI_MAJOR) {
    return absl::FailedPreconditionError(absl::StrCat(
        "it was built for plugin ABI ", header.abi_major, ".", header.abi_minor,
        ", and this program takes plugins of ABI ", MB_ABI_MAJOR, ".x: ",
        header.abi_major < MB_ABI_MAJOR
            ? "build the plugin with this version of ModelBatch"
            : "use a newer ModelBatch, or build the plugin with this one"));
  }
  if (header.struct_size < MB_SIZE(MB_PluginApi, session_tune)) {
    return too_short();
  }
  return absl::OkStatus();
}

absl::Status CheckText(const char* text, const char* field, bool may_be_empty) {
  if (text == nullptr) {
    return absl::InternalError(
        absl::StrCat("its ", field, " is NULL, expected a string"));
  }
  if (text[0] == '\0' && !may_be_empty) {
    return absl::InternalError(
        absl::StrCat("its ", field, " is empty, expected a string"));
  }
  return absl::OkStatus();
}

absl::Status CheckName(const char* name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyz0123456789_-";
  if (std::string_view(name).find_first_not_of(kAllowed) ==
      std::string_view::npos) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat(
      "its name is \"", name,
      "\", expected lower-case letters, digits, '_' and '-' only"));
}

}  // namespace

absl::Status CheckPluginApi(const MB_PluginApi* api) {
  if (api == nullptr) {
    return absl::InternalError(
        absl::StrCat(MB_GET_PLUGIN_API_SYMBOL, " returned NULL"));
  }
  MB_RETURN_IF_ERROR(CheckVersion(api->header));
  MB_RETURN_IF_ERROR(CheckText(api->name, "name", false));
  MB_RETURN_IF_ERROR(CheckName(api->name));
  MB_RETURN_IF_ERROR(CheckText(api->version, "version", false));
  MB_RETURN_IF_ERROR(CheckText(api->build_id, "build_id", false));
  MB_RETURN_IF_ERROR(CheckText(api->sanitizer, "sanitizer", true));

  struct Required {
    const char* name;
    bool there;
  };
  const Required required[] = {
      {"error_code", api->error_code != nullptr},
      {"error_message", api->error_message != nullptr},
      {"error_destroy", api->error_destroy != nullptr},
      {"plugin_probe", api->plugin_probe != nullptr},
      {"backend_create", api->backend_create != nullptr},
      {"backend_destroy", api->backend_destroy != nullptr},
      {"backend_capabilities", api->backend_capabilities != nullptr},
      {"session_compile", api->session_compile != nullptr},
      {"session_destroy", api->session_destroy != nullptr},
      {"session_set_optimizer", api->session_set_optimizer != nullptr},
      {"session_read_state", api->session_read_state != nullptr},
      {"session_write_state", api->session_write_state != nullptr},
      {"dataset_create", api->dataset_create != nullptr},
      {"dataset_destroy", api->dataset_destroy != nullptr},
      {"session_train_step", api->session_train_step != nullptr},
      {"session_evaluate", api->session_evaluate != nullptr},
      {"session_forward", api->session_forward != nullptr},
  };
  for (const Required& function : required) {
    if (!function.there) {
      return absl::InternalError(
          absl::StrCat("its required function ", function.name, " is NULL"));
    }
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
