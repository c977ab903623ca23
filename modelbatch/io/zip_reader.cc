#include "modelbatch/io/zip_reader.h"

#include <zip.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

// Deflate codes at most 258 bytes in two bits.
constexpr uint64_t kMaxDeflateRatio = 1032;

// libzip's error, and its end.
class ZipError {
 public:
  ZipError() { zip_error_init(&error_); }
  ~ZipError() { zip_error_fini(&error_); }
  ZipError(const ZipError&) = delete;
  ZipError& operator=(const ZipError&) = delete;

  zip_error_t* get() { return &error_; }
  std::string Text() {
    if (zip_error_code_zip(&error_) == ZIP_ER_EXISTS) {
      return "the name of an entry appears more than once";
    }
    return zip_error_strerror(&error_);
  }

 private:
  zip_error_t error_;
};

struct CloseFile {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

}  // namespace

void ZipReader::Discard::operator()(zip* archive) const {
  zip_discard(archive);
}

absl::Status ZipReader::Error(const std::string& message) const {
  return absl::DataLossError(
      absl::StrCat(name_, ": not a valid zip archive: ", message));
}

absl::Status ZipReader::EntryError(size_t index,
                                   const std::string& message) const {
  return absl::DataLossError(
      absl::StrCat(name_, ": entry \"", entries_[index].name, "\": ", message));
}

absl::StatusOr<ZipReader> ZipReader::Open(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status =
      std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    return absl::NotFoundError(
        absl::StrCat("cannot read ", path, ": No such file or directory"));
  }
  if (!std::filesystem::is_regular_file(status)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is not a regular file, expected a zip archive"));
  }
  ZipReader reader(path);
  reader.archive_size_ = std::filesystem::file_size(path, error);
  ZipError zip_error;
  zip_source_t* source =
      zip_source_file_create(path.c_str(), 0, -1, zip_error.get());
  if (source != nullptr) {
    reader.archive_.reset(zip_open_from_source(
        source, ZIP_RDONLY | ZIP_CHECKCONS, zip_error.get()));
    if (reader.archive_ == nullptr) zip_source_free(source);
  }
  if (reader.archive_ == nullptr) {
    if (zip_error_code_zip(zip_error.get()) == ZIP_ER_OPEN) {
      return absl::PermissionDeniedError(
          absl::StrCat("cannot read ", path, ": ", zip_error.Text()));
    }
    return reader.Error(zip_error.Text());
  }
  MB_RETURN_IF_ERROR(reader.List());
  return reader;
}

absl::StatusOr<ZipReader> ZipReader::FromBytes(const std::string& bytes,
                                               const std::string& name) {
  ZipReader reader(name);
  reader.archive_size_ = bytes.size();
  ZipError error;
  zip_source_t* source =
      zip_source_buffer_create(bytes.data(), bytes.size(), 0, error.get());
  if (source != nullptr) {
    reader.archive_.reset(
        zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, error.get()));
    if (reader.archive_ == nullptr) zip_source_free(source);
  }
  if (reader.archive_ == nullptr) return reader.Error(error.Text());
  MB_RETURN_IF_ERROR(reader.List());
  return reader;
}

absl::Status ZipReader::List() {
  uint64_t stored = 0;
  const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    constexpr zip_uint64_t kNeeded =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    if (zip_stat_index(archive_.get(), i, ZIP_FL_ENC_RAW, &stat) != 0 ||
        (stat.valid & kNeeded) != kNeeded) {
      return Error(absl::StrCat("no size or name of entry ", i));
    }
    // Entries on top of one another multiply what a small file takes.
    if (__builtin_add_overflow(stored, stat.comp_size, &stored) ||
        stored > archive_size_) {
      return Error("its entries overlap");
    }
    const bool compressed = stat.comp_method != ZIP_CM_STORE;
    if (compressed && stat.comp_method != ZIP_CM_DEFLATE) {
      return absl::UnimplementedError(absl::StrCat(
          name_, ": entry \"", stat.name, "\": compression method ",
          stat.comp_method, ", expected none (0) or deflate (8)"));
    }
    if (stat.size > stat.comp_size * (compressed ? kMaxDeflateRatio : 1)) {
      return Error(absl::StrCat("entry \"", stat.name, "\" claims ", stat.size,
                                " bytes in ", stat.comp_size));
    }
    entries_.push_back({stat.name, stat.size, compressed});
  }
  return absl::OkStatus();
}

std::optional<size_t> ZipReader::Find(const std::string& name) const {
  const zip_int64_t index =
      zip_name_locate(archive_.get(), name.c_str(), ZIP_FL_ENC_RAW);
  if (index < 0) return std::nullopt;
  return static_cast<size_t>(index);
}

absl::StatusOr<std::string> ZipReader::Read(size_t index) const {
  const std::unique_ptr<zip_file_t, CloseFile> file(
      zip_fopen_index(archive_.get(), index, 0));
  if (file == nullptr) {
    zip_error_t* error = zip_get_error(archive_.get());
    const int code = zip_error_code_zip(error);
    const std::string text = zip_error_strerror(error);
    if (code == ZIP_ER_ENCRNOTSUPP || code == ZIP_ER_NOPASSWD) {
      return absl::UnimplementedError(absl::StrCat(
          name_, ": entry \"", entries_[index].name, "\": ", text));
    }
    return EntryError(index, text);
  }
  std::string content(entries_[index].size, '\0');
  size_t done = 0;
  while (true) {
    // One byte more than there should be: only the read that meets the end
    // checks the sum.
    char beyond;
    const bool full = done == content.size();
    const zip_int64_t count =
        zip_fread(file.get(), full ? &beyond : content.data() + done,
                  full ? 1 : content.size() - done);
    if (count < 0) {
      return EntryError(index,
                        zip_error_strerror(zip_file_get_error(file.get())));
    }
    if (count == 0 && full) return content;
    if (count == 0 || full) {
      return EntryError(
          index, absl::StrCat("expected ", content.size(), " bytes, found ",
                              full ? "more" : "less"));
    }
    done += count;
  }
}

}  // namespace modelbatch
