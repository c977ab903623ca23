/* c_api.h is C11: compiled with -std=c11 -pedantic-errors. */
#include <stdio.h>

#include "modelbatch/plugin/c_api.h"

static const MB_PluginApi* GetApi(const MB_HostApi* host) {
  static MB_PluginApi api;
  api.header.struct_size = MB_SIZE(MB_PluginApi, session_stats);
  return host != NULL && MB_HAS(host, MB_HostApi, log) ? &api : NULL;
}

int main(void) {
  const MB_GetPluginApiFunction get_api = GetApi;
  MB_HostApi host = {{0, MB_ABI_MAJOR, MB_ABI_MINOR, NULL}, "", "", NULL, NULL};
  host.header.struct_size = MB_SIZE(MB_HostApi, log_context);
  if (get_api(&host) != NULL) {
    puts("MB_HAS sees a field beyond struct_size");
    return 1;
  }
  host.header.struct_size = MB_SIZE(MB_HostApi, log);
  return get_api(&host) != NULL ? 0 : 1;
}
