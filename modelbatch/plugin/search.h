// Where plugins are looked for. In this order, and nowhere else:
//
//   1. each entry of $MODELBATCH_PLUGIN_PATH, separated by ':'
//   2. <folder of the executable>/plugins
//   3. <executable>.runfiles/modelbatch/plugins,
//      $RUNFILES_DIR/modelbatch/plugins, $TEST_SRCDIR/modelbatch/plugins
//      (programs and tests that Bazel runs)
//   4. $BUILD_WORKSPACE_DIRECTORY/bazel-bin/plugins (`bazel run`: what was
//      built beside it)
//   5. <folder of the executable>/../lib/modelbatch/plugins (an installation)
//
// A folder F holds the backend <name> as F/libmodelbatch_<name>.so or as
// F/<name>/libmodelbatch_<name>.so. The first found is used.
#ifndef MODELBATCH_PLUGIN_SEARCH_H_
#define MODELBATCH_PLUGIN_SEARCH_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace modelbatch {

// What decides the folders; empty: not there.
struct SearchEnvironment {
  std::string executable;    // of this process, without symbolic links
  std::string plugin_path;   // $MODELBATCH_PLUGIN_PATH
  std::string runfiles_dir;  // $RUNFILES_DIR
  std::string test_srcdir;   // $TEST_SRCDIR
  std::string workspace;     // $BUILD_WORKSPACE_DIRECTORY

  // Of this process, now.
  static SearchEnvironment Current();
};

// The folders in order, each once, whether they exist or not.
std::vector<std::string> PluginFolders(
    const SearchEnvironment& environment = SearchEnvironment::Current());

// The file of the backend `name`. NotFound lists the folders searched, the
// backends that are there, and what to do.
absl::StatusOr<std::string> FindPlugin(
    const std::string& name,
    const SearchEnvironment& environment = SearchEnvironment::Current());

struct FoundPlugin {
  std::string name;  // as the file is called
  std::string path;
};

// All backends that FindPlugin would find, sorted by name. Nothing is loaded.
std::vector<FoundPlugin> ListPlugins(
    const SearchEnvironment& environment = SearchEnvironment::Current());

// The same; NotFound, with the folders searched, when there are none.
absl::StatusOr<std::vector<FoundPlugin>> FindAllPlugins(
    const SearchEnvironment& environment = SearchEnvironment::Current());

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_SEARCH_H_
