#include "modelbatch/plugin/search.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;

constexpr char kPathVariable[] = "MODELBATCH_PLUGIN_PATH";
constexpr char kPrefix[] = "libmodelbatch_";
constexpr char kSuffix[] = ".so";

std::string GetEnvironment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string FileName(const std::string& name) {
  return absl::StrCat(kPrefix, name, kSuffix);
}

// "cpu" of "libmodelbatch_cpu.so"; empty for another file.
std::string NameOf(const std::string& file) {
  const size_t prefix = sizeof(kPrefix) - 1;
  const size_t suffix = sizeof(kSuffix) - 1;
  if (file.size() <= prefix + suffix || file.compare(0, prefix, kPrefix) != 0 ||
      file.compare(file.size() - suffix, suffix, kSuffix) != 0) {
    return "";
  }
  return file.substr(prefix, file.size() - prefix - suffix);
}

bool IsFile(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// The names in a folder; none if it cannot be read.
std::vector<std::string> Entries(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  return names;
}

}  // namespace

SearchEnvironment SearchEnvironment::Current() {
  std::error_code error;
  SearchEnvironment result;
  result.executable = fs::read_symlink("/proc/self/exe", error).string();
  result.plugin_path = GetEnvironment(kPathVariable);
  result.runfiles_dir = GetEnvironment("RUNFILES_DIR");
  result.test_srcdir = GetEnvironment("TEST_SRCDIR");
  result.workspace = GetEnvironment("BUILD_WORKSPACE_DIRECTORY");
  return result;
}

std::vector<std::string> PluginFolders(const SearchEnvironment& environment) {
  std::vector<std::string> folders;
  const auto add = [&folders](std::string folder) {
    if (std::find(folders.begin(), folders.end(), folder) == folders.end()) {
      folders.push_back(std::move(folder));
    }
  };
  // An empty entry is no folder: to a shell it would be the current one.
  for (const std::string& entry : std::vector<std::string>(
           absl::StrSplit(environment.plugin_path, ':', absl::SkipEmpty()))) {
    add(entry);
  }
  const std::string& executable = environment.executable;
  const std::string home = fs::path(executable).parent_path().string();
  const std::string below = "/modelbatch/plugins";
  if (!executable.empty()) {
    add(home + "/plugins");
    add(executable + ".runfiles" + below);
  }
  if (!environment.runfiles_dir.empty()) add(environment.runfiles_dir + below);
  if (!environment.test_srcdir.empty()) add(environment.test_srcdir + below);
  if (!environment.workspace.empty()) {
    add(environment.workspace + "/bazel-bin/plugins");
  }
  if (!executable.empty()) {
    add((fs::path(home).parent_path() / "lib").string() + below);
  }
  return folders;
}

absl::StatusOr<std::string> FindPlugin(const std::string& name,
                                       const SearchEnvironment& environment) {
  if (name.empty() || name.find('/') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", name,
        "\" is not a backend's name, expected one such as \"cpu\""));
  }
  const std::vector<std::string> folders = PluginFolders(environment);
  for (const std::string& folder : folders) {
    for (const std::string& path :
         {absl::StrCat(folder, "/", FileName(name)),
          absl::StrCat(folder, "/", name, "/", FileName(name))}) {
      if (IsFile(path)) return path;
    }
  }
  std::vector<std::string> there;
  for (const FoundPlugin& found : ListPlugins(environment)) {
    there.push_back(found.name);
  }
  return absl::NotFoundError(absl::StrCat(
      "no backend \"", name, "\": ", FileName(name),
      " is in none of these folders, nor in a folder \"", name,
      "\" below them:\n  ", absl::StrJoin(folders, "\n  "), "\nThere ",
      there.empty() ? "is no backend at all"
                    : absl::StrCat("are: ", absl::StrJoin(there, ", ")),
      ". Set ", kPathVariable, " to the folder that holds ", FileName(name),
      ", or give the path of the file."));
}

std::vector<FoundPlugin> ListPlugins(const SearchEnvironment& environment) {
  std::map<std::string, std::string> paths;  // emplace keeps the first
  for (const std::string& folder : PluginFolders(environment)) {
    const std::vector<std::string> entries = Entries(folder);
    // As FindPlugin: a folder's own files come before those below it.
    for (const std::string& entry : entries) {
      const std::string path = absl::StrCat(folder, "/", entry);
      const std::string name = NameOf(entry);
      if (!name.empty() && IsFile(path)) paths.emplace(name, path);
    }
    for (const std::string& entry : entries) {
      const std::string path =
          absl::StrCat(folder, "/", entry, "/", FileName(entry));
      if (IsFile(path)) paths.emplace(entry, path);
    }
  }
  std::vector<FoundPlugin> result;
  for (const auto& [name, path] : paths) result.push_back({name, path});
  return result;
}

absl::StatusOr<std::vector<FoundPlugin>> FindAllPlugins(
    const SearchEnvironment& environment) {
  std::vector<FoundPlugin> found = ListPlugins(environment);
  if (!found.empty()) return found;
  return absl::NotFoundError(absl::StrCat(
      "no backend found: no ", FileName("<name>"),
      " is in any of these folders, nor in a folder \"<name>\" below them:\n  ",
      absl::StrJoin(PluginFolders(environment), "\n  "), "\nSet ",
      kPathVariable, " to a folder that holds one."));
}

}  // namespace modelbatch
