// Reads an operator's (or a loss's) attributes with types checked, and refuses
// what nobody read.
//
//   AttributeReader reader("operator \"0\" (linear)", op.attributes);
//   MB_ASSIGN_OR_RETURN(int64_t out, reader.Int("out_features"));
//   MB_ASSIGN_OR_RETURN(bool bias, reader.Bool("bias", true));
//   MB_RETURN_IF_ERROR(reader.Finish());
#ifndef MODELBATCH_MODEL_ATTRIBUTE_READER_H_
#define MODELBATCH_MODEL_ATTRIBUTE_READER_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch {

class AttributeReader {
 public:
  // `owner` begins every message. `attributes` must outlive the reader.
  AttributeReader(std::string owner, const Attributes& attributes)
      : owner_(std::move(owner)), attributes_(attributes) {}

  // Without a default a missing attribute is an error. An int is taken for a
  // float, never the reverse.
  absl::StatusOr<int64_t> Int(const std::string& name,
                              std::optional<int64_t> default_value = {});
  absl::StatusOr<double> Float(const std::string& name,
                               std::optional<double> default_value = {});
  absl::StatusOr<bool> Bool(const std::string& name,
                            std::optional<bool> default_value = {});
  absl::StatusOr<std::string> String(
      const std::string& name, std::optional<std::string> default_value = {});
  // A list of ints is taken as well.
  absl::StatusOr<std::vector<double>> FloatList(
      const std::string& name,
      std::optional<std::vector<double>> default_value = {});

  // Whether the attribute is given. Does not count as asking for it.
  bool Has(const std::string& name) const {
    return attributes_.count(name) > 0;
  }

  // InvalidArgument names the first attribute that was never asked for.
  absl::Status Finish() const;

  // InvalidArgument "<owner>: <message>".
  absl::Status Error(const std::string& message) const;

 private:
  template <typename T>
  absl::StatusOr<T> Get(const std::string& name, const char* type,
                        std::optional<T> default_value);

  std::string owner_;
  const Attributes& attributes_;
  std::set<std::string> asked_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_MODEL_ATTRIBUTE_READER_H_
