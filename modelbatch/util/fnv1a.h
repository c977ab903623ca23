// The 64-bit FNV-1a hash of bytes (Fowler, Noll, Vo): the same on every
// machine.
//
//   Fnv1a hash;
//   hash.Add(text.data(), text.size());
//   hash.value();
#ifndef MODELBATCH_UTIL_FNV1A_H_
#define MODELBATCH_UTIL_FNV1A_H_

#include <cstddef>
#include <cstdint>

namespace modelbatch {

// Stored runs depend on its values.
class Fnv1a {
 public:
  void Add(const void* data, size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < size; ++i) {
      value_ = (value_ ^ bytes[i]) * 0x100000001b3u;
    }
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_FNV1A_H_
