#include "modelbatch/io/gzip.h"

#include <zlib.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace modelbatch {
namespace {

constexpr char kMagic[] = "\x1f\x8b";

class Inflater {
 public:
  // 16: a gzip header is expected.
  Inflater() { ok_ = inflateInit2(&stream_, MAX_WBITS + 16) == Z_OK; }
  ~Inflater() {
    if (ok_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  bool ok() const { return ok_; }
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_ = {};
  bool ok_ = false;
};

}  // namespace

bool IsGzip(const std::string& bytes) {
  return absl::StartsWith(bytes, kMagic);
}

absl::StatusOr<std::string> Gunzip(const std::string& bytes, uint64_t limit,
                                   const std::string& name) {
  constexpr uint64_t kChunk = 1 << 20;
  const auto error = [&name](const std::string& message) {
    return absl::DataLossError(
        absl::StrCat(name, ": not a valid gzip file: ", message));
  };
  Inflater inflater;
  if (!inflater.ok()) return absl::ResourceExhaustedError("zlib: no memory");
  z_stream& stream = inflater.stream();
  std::string content;
  uint64_t read = 0;
  while (content.size() < limit) {
    const uint64_t in = std::min(kChunk, bytes.size() - read);
    // zlib's interface is older than const.
    stream.next_in =
        reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + read));
    stream.avail_in = static_cast<uInt>(in);
    const uint64_t before = content.size();
    content.resize(std::min(limit, before + kChunk));
    stream.next_out = reinterpret_cast<Bytef*>(content.data() + before);
    stream.avail_out = static_cast<uInt>(content.size() - before);
    const int result = inflate(&stream, Z_NO_FLUSH);
    read += in - stream.avail_in;
    content.resize(content.size() - stream.avail_out);
    if (result == Z_STREAM_END) {
      if (read == bytes.size()) return content;
      if (bytes.compare(read, 2, kMagic) != 0) {
        return error(absl::StrCat("bytes follow its end at byte ", read));
      }
      inflateReset(&stream);  // another member
    } else if (result == Z_BUF_ERROR && read == bytes.size()) {
      return error("it is truncated");
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return error(absl::StrCat(
          "byte ", read, ": ", stream.msg == nullptr ? "damaged" : stream.msg));
    }
  }
  return content;
}

}  // namespace modelbatch
