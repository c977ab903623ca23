// Attributes as the ABI's named values, and back.
//
//   NamedValues options(attributes);         // borrows `attributes`
//   args.options = options.data();
//   args.num_options = options.size();
#ifndef MODELBATCH_PLUGIN_NAMED_VALUES_H_
#define MODELBATCH_PLUGIN_NAMED_VALUES_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/model/model_spec.h"
#include "modelbatch/plugin/c_api.h"

namespace modelbatch {

// InvalidArgument, beginning with `what`, if a name or a string holds a zero
// byte: the other side would see less of it.
absl::Status CheckCStrings(const Attributes& attributes, std::string_view what);

// Points into `attributes`, which must outlive it unchanged.
class NamedValues {
 public:
  explicit NamedValues(const Attributes& attributes);

  // Never NULL for a size above 0.
  const MB_NamedValue* data() const { return values_.data(); }
  size_t size() const { return values_.size(); }

 private:
  std::vector<MB_NamedValue> values_;
};

// Copies `count` values. InvalidArgument names the entry, as in
// `options[2] ("threads")`, where `what` is "options", and what was expected.
absl::StatusOr<Attributes> ToAttributes(const MB_NamedValue* values,
                                        size_t count, std::string_view what);

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_NAMED_VALUES_H_
