#include "modelbatch/train/run_info.h"

#include <sys/utsname.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/processor.h"
#include "modelbatch/util/version.h"

namespace modelbatch {
RunInfo RunInfo::OfThisMachine() {
  RunInfo info;
  info.modelbatch_version = kVersion;
  info.machine = ProcessorName();
  utsname names;
  if (uname(&names) == 0) {
    info.host = names.nodename;
    info.system =
        absl::StrCat(names.sysname, " ", names.release, " ", names.machine);
  }
  info.cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return info;
}

std::vector<std::string> Differences(const RunInfo& run, const RunInfo& here) {
  std::vector<std::string> differences;
  const auto compare = [&](const char* what, const std::string& a,
                           const std::string& b) {
    if (a != b) {
      differences.push_back(
          absl::StrCat(what, " \"", a, "\" in the run, \"", b, "\" here"));
    }
  };
  compare("backend", run.backend, here.backend);
  compare("backend build", run.backend_build_id, here.backend_build_id);
  compare("ModelBatch version", run.modelbatch_version,
          here.modelbatch_version);
  compare("processor", run.machine, here.machine);
  return differences;
}

}  // namespace modelbatch
