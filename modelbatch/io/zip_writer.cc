#include "modelbatch/io/zip_writer.h"

#include <zip.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr uint64_t kLocalHeaderBytes = 30;
constexpr uint64_t kExtraHeaderBytes = 4;
// What PyTorch calls its own padding, which readers skip.
constexpr uint16_t kPaddingId = 0x4246;
// The first day that a zip archive can have: the bytes depend on no clock.
constexpr uint16_t kFirstDay = 1 << 5 | 1;

// An archive in memory: libzip goes back to headers, which AtomicFile does not.
class Archive {
 public:
  Archive() { zip_error_init(&error_); }
  ~Archive() {
    if (archive_ != nullptr) zip_discard(archive_);
    if (buffer_ != nullptr) zip_source_free(buffer_);
    zip_error_fini(&error_);
  }
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  bool Open() {
    buffer_ = zip_source_buffer_create(nullptr, 0, 0, &error_);
    if (buffer_ == nullptr) return false;
    archive_ = zip_open_from_source(buffer_, ZIP_TRUNCATE, &error_);
    // The archive takes the reference that there is.
    if (archive_ != nullptr) zip_source_keep(buffer_);
    return archive_ != nullptr;
  }

  bool Add(const std::string& name, const void* data, size_t size) {
    zip_source_t* source = zip_source_buffer(archive_, data, size, 0);
    if (source == nullptr) return ArchiveError();
    const zip_int64_t index = zip_file_add(archive_, name.c_str(), source, 0);
    if (index < 0) {
      zip_source_free(source);
      return ArchiveError();
    }
    const uint64_t begin =
        offset_ + kLocalHeaderBytes + name.size() + kExtraHeaderBytes;
    const zip_uint8_t zeros[ZipWriter::kAlignment] = {};
    const uint16_t padding =
        (ZipWriter::kAlignment - begin % ZipWriter::kAlignment) %
        ZipWriter::kAlignment;
    // An entry of 4 GiB has a longer header: those after it are not aligned,
    // which costs a reader speed at most.
    offset_ = begin + padding + size;
    return (zip_set_file_compression(archive_, index, ZIP_CM_STORE, 0) == 0 &&
            zip_file_set_dostime(archive_, index, 0, kFirstDay, 0) == 0 &&
            zip_file_extra_field_set(archive_, index, kPaddingId,
                                     ZIP_EXTRA_FIELD_NEW, zeros, padding,
                                     ZIP_FL_LOCAL) == 0) ||
           ArchiveError();
  }

  bool Close() {
    if (zip_close(archive_) != 0) return ArchiveError();
    archive_ = nullptr;
    return zip_source_open(buffer_) == 0 || BufferError();
  }

  // The archive's next bytes; 0 at its end, negative for an error.
  zip_int64_t Read(char* to, size_t size) {
    const zip_int64_t count = zip_source_read(buffer_, to, size);
    if (count < 0) BufferError();
    return count;
  }

  std::string Error() { return zip_error_strerror(&error_); }

 private:
  bool ArchiveError() { return Keep(zip_get_error(archive_)); }
  bool BufferError() { return Keep(zip_source_error(buffer_)); }
  bool Keep(zip_error_t* error) {
    zip_error_set(&error_, zip_error_code_zip(error),
                  zip_error_code_system(error));
    return false;
  }

  zip_error_t error_;
  zip_source_t* buffer_ = nullptr;
  zip_t* archive_ = nullptr;
  uint64_t offset_ = 0;
};

}  // namespace

void ZipWriter::Add(std::string name, const void* data, size_t size) {
  entries_.push_back({std::move(name), data, size});
}

absl::Status ZipWriter::Write(const std::string& path,
                              AtomicFiles* files) const {
  Archive archive;
  bool ok = archive.Open();
  for (const Entry& entry : entries_) {
    ok = ok && archive.Add(entry.name, entry.data, entry.size);
  }
  ok = ok && archive.Close();
  const auto error = [&] {
    return absl::InternalError(
        absl::StrCat("cannot write ", path, ": ", archive.Error()));
  };
  if (!ok) return error();
  MB_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  std::vector<char> chunk(1 << 16);
  while (true) {
    const zip_int64_t count = archive.Read(chunk.data(), chunk.size());
    if (count < 0) return error();
    if (count == 0) return Commit(std::move(file), files);
    MB_RETURN_IF_ERROR(file.Append(chunk.data(), count));
  }
}

}  // namespace modelbatch
