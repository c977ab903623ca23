#include "modelbatch/plugin/c_api.h"

int Absent(void);

const MB_PluginApi* MB_GetPluginApi(const MB_HostApi* host) {
  (void)host;
  return Absent() == 0 ? NULL : NULL;
}
