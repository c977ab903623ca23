// Reads the entries of a zip archive (libzip does the work).
//
//   MB_ASSIGN_OR_RETURN(ZipReader zip, ZipReader::Open("digits.npz"));
//   MB_ASSIGN_OR_RETURN(std::string bytes, zip.Read(*zip.Find("x.npy")));
//
// Archives are not trusted. What `Open` has let through has names that are
// unique, headers that agree with the directory, and entries that do not take
// more bytes together than the archive has; `Read` checks sizes and CRC-32.
#ifndef MODELBATCH_IO_ZIP_READER_H_
#define MODELBATCH_IO_ZIP_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct zip;

namespace modelbatch {

struct ZipEntry {
  std::string name;
  uint64_t size = 0;  // of its content
  bool compressed = false;
};

class ZipReader {
 public:
  // NotFound when the file is not there, InvalidArgument when it is no regular
  // file, DataLoss when it is no archive or a damaged one, Unimplemented for
  // compression other than deflate. Messages begin with the path.
  static absl::StatusOr<ZipReader> Open(const std::string& path);
  // The same for bytes, which must outlive the reader; `name` is for messages.
  static absl::StatusOr<ZipReader> FromBytes(const std::string& bytes,
                                             const std::string& name);

  const std::string& name() const { return name_; }
  // Of the whole archive, in bytes.
  uint64_t archive_size() const { return archive_size_; }
  // In the order of the archive.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  // The index of an entry.
  std::optional<size_t> Find(const std::string& name) const;

  // The content of an entry. DataLoss names archive and entry; Unimplemented
  // for encryption.
  absl::StatusOr<std::string> Read(size_t index) const;

 private:
  struct Discard {
    void operator()(zip* archive) const;
  };

  explicit ZipReader(std::string name) : name_(std::move(name)) {}
  absl::Status Error(const std::string& message) const;
  absl::Status EntryError(size_t index, const std::string& message) const;
  absl::Status List();

  std::string name_;
  uint64_t archive_size_ = 0;
  std::vector<ZipEntry> entries_;
  std::unique_ptr<zip, Discard> archive_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_IO_ZIP_READER_H_
