#include "modelbatch/plot/draw.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/plot/svg.h"
#include "modelbatch/util/child_process.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// A chart takes a tenth of a second; thousands of curves some.
constexpr int64_t kSeconds = 300;

class TemporaryFolder {
 public:
  static absl::StatusOr<TemporaryFolder> Create() {
    std::error_code error;
    const auto base = std::filesystem::temp_directory_path(error);
    std::string path = (error ? "/tmp" : base.string()) + "/modelbatch-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) {
      return absl::UnavailableError(absl::StrCat(
          "cannot create a temporary folder ", path, ": ", strerror(errno)));
    }
    return TemporaryFolder(std::move(path));
  }
  TemporaryFolder(TemporaryFolder&& other) noexcept
      : path_(std::exchange(other.path_, "")) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

  std::string File(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

absl::Status RunGnuplot(const std::string& folder, const std::string& script) {
  // --default-settings: whatever the user's own files say.
  const absl::StatusOr<ChildOutcome> child =
      RunProgram("gnuplot", {"--default-settings", script}, folder, kSeconds);
  if (absl::IsNotFound(child.status())) {
    return absl::FailedPreconditionError(
        "gnuplot, which draws the plots, is not installed; on Debian and "
        "Ubuntu: apt-get install gnuplot-nox");
  }
  if (!child.ok()) return child.status();
  if (child->ended_well()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(
      "gnuplot ",
      child->timed_out ? absl::StrCat("did not end in ", kSeconds, " s")
                       : absl::StrCat("failed with ", child->Describe()),
      ": ", std::string(absl::StripAsciiWhitespace(child->output))));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> DrawCharts(
    const std::vector<Chart>& charts, Target target) {
  std::vector<std::string> drawings;
  if (charts.empty()) return drawings;
  MB_ASSIGN_OR_RETURN(const TemporaryFolder folder, TemporaryFolder::Create());
  std::string script;
  for (size_t i = 0; i < charts.size(); ++i) {
    absl::StrAppend(&script,
                    GnuplotScript(charts[i], target, absl::StrCat("chart", i),
                                  absl::StrCat("chart", i)));
  }
  std::ofstream out(folder.File("script"), std::ios::binary);
  out << script;
  out.close();
  if (!out) {
    return absl::UnavailableError(
        absl::StrCat("cannot write ", folder.File("script")));
  }
  MB_RETURN_IF_ERROR(RunGnuplot(folder.path(), "script"));
  for (size_t i = 0; i < charts.size(); ++i) {
    const std::string id = absl::StrCat("chart", i);
    MB_ASSIGN_OR_RETURN(std::string drawing, ReadFile(folder.File(id)));
    if (target != Target::kPng) drawing = AddTooltips(charts[i], id, drawing);
    if (target == Target::kInlineSvg) {
      drawing = InlineSvg(charts[i], id, drawing);
    }
    drawings.push_back(std::move(drawing));
  }
  return drawings;
}

}  // namespace modelbatch
