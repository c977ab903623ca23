// CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum of TensorFlow's
// record files.
#ifndef MODELBATCH_IO_CRC32C_H_
#define MODELBATCH_IO_CRC32C_H_

#include <cstdint>
#include <string_view>

namespace modelbatch {

uint32_t Crc32c(std::string_view bytes);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_CRC32C_H_
