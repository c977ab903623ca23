// What session_describe and session_tune tell, as the ABI's structs, and back.
#ifndef MODELBATCH_PLUGIN_ABI_REPORTS_H_
#define MODELBATCH_PLUGIN_ABI_REPORTS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/backend/tune_report.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/plugin/c_api.h"

namespace modelbatch {

// Owns what it fills in.
class AbiDescription {
 public:
  explicit AbiDescription(ModelDescription description);
  AbiDescription(const AbiDescription&) = delete;
  AbiDescription& operator=(const AbiDescription&) = delete;

  void Fill(MB_DescribeArgs* args) const;

 private:
  const ModelDescription description_;
  std::vector<MB_StateInfo> states_;
};

class AbiTuneReport {
 public:
  explicit AbiTuneReport(TuneReport report);
  AbiTuneReport(const AbiTuneReport&) = delete;
  AbiTuneReport& operator=(const AbiTuneReport&) = delete;

  void Fill(MB_TuneArgs* args) const;

 private:
  const TuneReport report_;
  std::vector<MB_TuneChoice> choices_;
};

// Copies. The error says which field is wrong and what was expected.
absl::StatusOr<ModelDescription> ReadDescription(const MB_DescribeArgs& args);
absl::StatusOr<TuneReport> ReadTuneReport(const MB_TuneArgs& args);

// Whether the parameters, in any order, and the output are those of `layout`.
absl::Status CheckDescription(const ModelDescription& description,
                              const Layout& layout);

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_ABI_REPORTS_H_
