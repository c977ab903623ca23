// Who made a run: backend, build, machine, versions. Bits are promised for the
// same build on the same machine, so a run records them.
#ifndef MODELBATCH_TRAIN_RUN_INFO_H_
#define MODELBATCH_TRAIN_RUN_INFO_H_

#include <string>
#include <vector>

namespace modelbatch {

struct RunInfo {
  std::string backend;          // "cpu"
  std::string backend_version;  // of the plugin
  std::string backend_build_id;
  std::string backend_path;
  std::string device;  // what the plugin says of it
  std::string modelbatch_version;
  std::string machine;  // processor's name
  std::string host;
  std::string system;  // kernel and its version
  int cpus = 0;        // online

  // The fields of this process and machine; those of the backend stay empty.
  static RunInfo OfThisMachine();
};

// What of backend, build and machine differs, a line each: "backend build
// abc in the run, def here". Empty when a run continues with the same bits.
std::vector<std::string> Differences(const RunInfo& run, const RunInfo& here);

}  // namespace modelbatch

#endif  // MODELBATCH_TRAIN_RUN_INFO_H_
