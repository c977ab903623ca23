// Reads one TOML table key by key, with types and ranges checked, and refuses
// what nobody asked for. The first error of a whole document is kept; after it
// every read returns its default, so that a reader of structs needs no
// branches:
//
//   absl::Status status;
//   TableReader root(&document.root, "", &document.source, &status);
//   config.name = root.String("name", "run");
//   TableReader train = root.Table("train");
//   config.epochs = train.Int("epochs", 1, 1, kMax);
//   train.Finish();
//   root.Finish();
//   if (!status.ok()) return status;
//
// Private to config/.
#ifndef MODELBATCH_CONFIG_TABLE_READER_H_
#define MODELBATCH_CONFIG_TABLE_READER_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "modelbatch/config/config_source.h"
#include "toml++/toml.h"

namespace modelbatch {

class TableReader {
 public:
  // `table` may be null: an empty one. All must outlive the reader.
  TableReader(const toml::table* table, std::string path,
              const ConfigSource* source, absl::Status* status)
      : table_(table),
        path_(std::move(path)),
        source_(source),
        status_(status) {}

  const std::string& path() const { return path_; }
  // The path of `key` in this table.
  std::string PathOf(const std::string& key) const;

  // Each marks the key as known. Null or the default when it is not there;
  // without a default a missing key is an error.
  const toml::node* Find(const std::string& key);
  std::string String(const std::string& key,
                     const std::optional<std::string>& default_value = {});
  // One of `names`, the first by default.
  std::string OneOf(const std::string& key,
                    const std::vector<std::string>& names);
  bool Bool(const std::string& key, bool default_value);
  int64_t Int(const std::string& key, std::optional<int64_t> default_value,
              int64_t min, int64_t max);
  // A finite number in [min, max].
  double Number(const std::string& key, std::optional<double> default_value,
                double min, double max);
  // At least one finite number.
  std::vector<double> Numbers(const std::string& key);
  TableReader Table(const std::string& key);

  // The error for a required key: names a misspelt one instead if there is one.
  void Missing(const std::string& key, const std::string& expected);
  // Keeps the error unless there is one already.
  void Fail(const std::string& key, const std::string& message);
  void FailAt(const std::string& path, const std::string& message);
  bool ok() const { return status_->ok(); }
  absl::Status* status() { return status_; }
  const ConfigSource& source() const { return *source_; }

  // Every key of the table must have been asked for.
  void Finish();

 private:
  const toml::table* table_;
  std::string path_;
  const ConfigSource* source_;
  absl::Status* status_;
  std::set<std::string> known_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_CONFIG_TABLE_READER_H_
