#include "modelbatch/plugin/build_id.h"

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "modelbatch/util/round_up.h"

namespace modelbatch {
namespace {

struct Search {
  uintptr_t address;
  std::string build_id;
};

bool Contains(const dl_phdr_info& object, uintptr_t address) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object.dlpi_phdr[i];
    const uintptr_t begin = object.dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && address >= begin &&
        address - begin < segment.p_memsz) {
      return true;
    }
  }
  return false;
}

// Notes come one after another: a header, "GNU\0", the id.
std::string FindInNotes(const char* notes, size_t size, size_t alignment) {
  if (alignment < 4) alignment = 4;
  size_t at = 0;
  ElfW(Nhdr) note;
  while (size - at >= sizeof(note)) {
    std::memcpy(&note, notes + at, sizeof(note));
    const size_t name = at + sizeof(note);
    const size_t description =
        at + RoundUp(sizeof(note) + note.n_namesz, alignment);
    const size_t next =
        at + RoundUp(description - at + note.n_descsz, alignment);
    if (description + note.n_descsz > size) break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(notes + name, "GNU", 4) == 0) {
      constexpr char kDigits[] = "0123456789abcdef";
      std::string hex;
      for (size_t i = 0; i < note.n_descsz; ++i) {
        const auto byte = static_cast<uint8_t>(notes[description + i]);
        hex += kDigits[byte / 16];
        hex += kDigits[byte % 16];
      }
      return hex;
    }
    if (next >= size) break;
    at = next;
  }
  return "";
}

int Visit(dl_phdr_info* object, size_t, void* data) {
  auto* search = static_cast<Search*>(data);
  if (!Contains(*object, search->address)) return 0;
  for (int i = 0; i < object->dlpi_phnum && search->build_id.empty(); ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    search->build_id = FindInNotes(
        reinterpret_cast<const char*>(object->dlpi_addr + segment.p_vaddr),
        segment.p_memsz, segment.p_align);
  }
  return 1;
}

}  // namespace

std::string BuildIdOf(const void* address) {
  Search search{reinterpret_cast<uintptr_t>(address), ""};
  dl_iterate_phdr(Visit, &search);
  return search.build_id;
}

const char* SanitizerName() {
#if defined(__SANITIZE_ADDRESS__)
  return "address";
#elif defined(__SANITIZE_THREAD__)
  return "thread";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  return "address";
#elif __has_feature(thread_sanitizer)
  return "thread";
#elif __has_feature(memory_sanitizer)
  return "memory";
#elif __has_feature(undefined_behavior_sanitizer)
  return "undefined";
#else
  return "";
#endif
#else
  return "";
#endif
}

}  // namespace modelbatch
