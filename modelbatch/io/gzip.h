// Reads gzip streams (RFC 1952), through zlib.
//
//   if (IsGzip(bytes)) {
//     MB_ASSIGN_OR_RETURN(text, Gunzip(bytes, kLimit, "labels.gz"));
//   }
#ifndef MODELBATCH_IO_GZIP_H_
#define MODELBATCH_IO_GZIP_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace modelbatch {

// More than this many times its size no gzip stream can give.
inline constexpr uint64_t kMaxGzipRatio = 1032;

bool IsGzip(const std::string& bytes);

// The content of all members, or its first `limit` bytes if it has more: a
// small file may claim any amount. DataLoss names `name`: truncated, damaged,
// a checksum that does not match, bytes after the end.
absl::StatusOr<std::string> Gunzip(const std::string& bytes, uint64_t limit,
                                   const std::string& name);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_GZIP_H_
