// Writes a zip archive of entries that are stored, not compressed, as a
// program that maps the file into memory wants them.
//
//   ZipWriter zip;
//   zip.Add("archive/version", "3\n", 2);
//   MB_RETURN_IF_ERROR(zip.Write("model.pt"));
//
// The same input gives the same bytes.
#ifndef MODELBATCH_IO_ZIP_WRITER_H_
#define MODELBATCH_IO_ZIP_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "modelbatch/io/atomic_files.h"

namespace modelbatch {

class ZipWriter {
 public:
  // The content of each entry begins at a multiple of this.
  static constexpr size_t kAlignment = 64;

  // Entries stand in the order of the calls. `data` must live until `Write`.
  // The name is ASCII.
  void Add(std::string name, const void* data, size_t size);

  // Atomic, alone or with `files`. Errors name the path.
  absl::Status Write(const std::string& path,
                     AtomicFiles* files = nullptr) const;

 private:
  struct Entry {
    std::string name;
    const void* data;
    size_t size;
  };
  std::vector<Entry> entries_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_IO_ZIP_WRITER_H_
