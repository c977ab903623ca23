#include "modelbatch/data/npy_reader.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/config/nearest.h"
#include "modelbatch/io/atomic_file.h"
#include "modelbatch/io/zip_reader.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
// Headers are of some hundred bytes; numpy itself refuses those above 10000.
constexpr uint64_t kMaxHeader = 1 << 20;
constexpr size_t kMaxRank = 64;

struct TypeCode {
  const char* code;
  NumberType type;
};

constexpr TypeCode kTypes[] = {
    {"f4", NumberType::kFloat32}, {"f8", NumberType::kFloat64},
    {"i1", NumberType::kInt8},    {"i2", NumberType::kInt16},
    {"i4", NumberType::kInt32},   {"i8", NumberType::kInt64},
    {"u1", NumberType::kUInt8},   {"u2", NumberType::kUInt16},
    {"u4", NumberType::kUInt32},  {"u8", NumberType::kUInt64},
    {"b1", NumberType::kBool},
};

struct Header {
  std::string descr;
  bool structured = false;  // descr is a list of fields
  bool fortran_order = false;
  Shape shape;
};

// The header's text, a Python dict literal of three entries.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  // False: `error()` says what is wrong.
  bool Parse(Header* header) {
    if (!Expect('{')) return false;
    bool seen[3] = {};
    while (!Accept('}')) {
      std::string key;
      if (!String(&key) || !Expect(':')) return false;
      const int index = key == "descr"           ? 0
                        : key == "fortran_order" ? 1
                        : key == "shape"         ? 2
                                                 : -1;
      if (index < 0 || seen[index]) return Fail("another or repeated key");
      seen[index] = true;
      if (index == 0   ? !Descr(header)
          : index == 1 ? !Bool(&header->fortran_order)
                       : !Sizes(&header->shape)) {
        return false;
      }
      if (!Accept(',') && !(Peek() == '}')) return Fail("expected \",\"");
    }
    SkipBlanks();
    if (at_ != text_.size()) return Fail("text after \"}\"");
    for (bool found : seen) {
      if (!found) return Fail("expected descr, fortran_order and shape");
    }
    return true;
  }

  // Where, in bytes of the header's text, and what.
  size_t at() const { return at_; }
  const std::string& error() const { return error_; }

 private:
  bool Fail(const std::string& error) {
    if (error_.empty()) error_ = error;
    return false;
  }

  void SkipBlanks() {
    while (at_ < text_.size() && absl::ascii_isspace(text_[at_])) ++at_;
  }

  char Peek() {
    SkipBlanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  bool Accept(char c) {
    if (Peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  bool Expect(char c) {
    return Accept(c) ||
           Fail(absl::StrCat("expected \"", std::string(1, c), "\""));
  }

  bool String(std::string* to) {
    const char quote = Peek();
    if (quote != '\'' && quote != '"') return Fail("expected a string");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) return Fail("a string does not end");
    *to = std::string(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return true;
  }

  bool Descr(Header* header) {
    if (Peek() != '[') return String(&header->descr);
    header->structured = true;
    // What is in it is not needed to say that it is not read.
    int depth = 0;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '[') ++depth;
      if (text_[at_] == ']' && --depth == 0) {
        ++at_;
        return true;
      }
    }
    return Fail("a list does not end");
  }

  bool Bool(bool* to) {
    SkipBlanks();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        *to = value;
        return true;
      }
    }
    return Fail("expected True or False");
  }

  bool Sizes(Shape* shape) {
    if (!Expect('(')) return false;
    while (!Accept(')')) {
      if (!absl::ascii_isdigit(Peek())) return Fail("expected a size");
      int64_t size = 0;
      while (at_ < text_.size() && absl::ascii_isdigit(text_[at_])) {
        if (__builtin_mul_overflow(size, 10, &size) ||
            __builtin_add_overflow(size, text_[at_] - '0', &size)) {
          return Fail("a size overflows");
        }
        ++at_;
      }
      shape->push_back(size);
      if (shape->size() > kMaxRank) {
        return Fail(absl::StrCat("more than ", kMaxRank, " dimensions"));
      }
      if (!Accept(',') && Peek() != ')') return Fail("expected \",\"");
    }
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string error_;
};

// The first index varies fastest in `bytes`: the last one shall.
std::string FromFortranOrder(const std::string& bytes, const Shape& shape,
                             size_t number_size) {
  std::string result(bytes.size(), '\0');
  const size_t rank = shape.size();
  std::vector<size_t> strides(rank);  // in `bytes`, in numbers
  size_t stride = 1;
  for (size_t d = 0; d < rank; ++d) {
    strides[d] = stride;
    stride *= shape[d];
  }
  Shape index(rank, 0);
  size_t from = 0;
  for (size_t to = 0; to < bytes.size(); to += number_size) {
    std::copy_n(bytes.data() + from * number_size, number_size,
                result.data() + to);
    for (size_t d = rank; d-- > 0;) {
      from += strides[d];
      if (++index[d] < shape[d]) break;
      from -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return result;
}

absl::StatusOr<NumberType> TypeOf(const Header& header,
                                  const std::string& name) {
  const auto unsupported = [&name](const std::string& found) {
    return absl::UnimplementedError(
        absl::StrCat(name, ": has ", found,
                     ", expected float32, float64, integers or booleans"));
  };
  if (header.structured) return unsupported("a structured dtype");
  const std::string& descr = header.descr;
  const bool order = !descr.empty() && absl::StrContains("<>|=", descr[0]);
  const std::string code = descr.substr(order ? 1 : 0);
  for (const TypeCode& known : kTypes) {
    if (code == known.code) return known.type;
  }
  if (absl::StartsWith(code, "O")) {
    return unsupported("Python objects, which only Python can read");
  }
  return unsupported(
      absl::StrCat("the dtype \"", absl::CHexEscape(descr), "\""));
}

std::vector<std::string> ArrayNames(const ZipReader& zip) {
  std::vector<std::string> names;
  for (const ZipEntry& entry : zip.entries()) {
    names.push_back(entry.name.substr(0, entry.name.rfind(".npy")));
  }
  return names;
}

}  // namespace

absl::StatusOr<NumericArray> ParseNpy(std::string bytes,
                                      const std::string& name) {
  const auto error = [&name](const std::string& message) {
    return absl::DataLossError(
        absl::StrCat(name, ": not a valid NPY file: ", message));
  };
  if (!absl::StartsWith(bytes, std::string(kMagic))) {
    return error("it does not begin with \"\\x93NUMPY\"");
  }
  // The magic, two bytes of version, two or four of the header's length.
  const size_t version_at = kMagic.size();
  const int version = bytes.size() > version_at ? bytes[version_at] : 1;
  if (version < 1 || version > 3) {
    return absl::UnimplementedError(absl::StrCat(
        name, ": is of NPY version ", version, ", expected 1, 2 or 3"));
  }
  const size_t length_at = version_at + 2;
  const size_t header_at = length_at + (version == 1 ? 2 : 4);
  if (bytes.size() < header_at) return error("it is truncated in its header");
  uint64_t length = 0;
  for (size_t i = header_at; i-- > length_at;) {
    length = length << 8 | static_cast<uint8_t>(bytes[i]);
  }
  if (length > kMaxHeader || length > bytes.size() - header_at) {
    return error(
        absl::StrCat("a header of ", length, " bytes, expected at ", "most ",
                     std::min<uint64_t>(kMaxHeader, bytes.size() - header_at)));
  }
  Header header;
  HeaderParser parser(std::string_view(bytes).substr(header_at, length));
  if (!parser.Parse(&header)) {
    return error(absl::StrCat("its header, byte ", header_at + parser.at(),
                              ": ", parser.error()));
  }
  NumericArray array;
  array.name = name;
  MB_ASSIGN_OR_RETURN(array.type, TypeOf(header, name));
  absl::StatusOr<int64_t> count = CheckedElements(header.shape);
  if (!count.ok()) return error(std::string(count.status().message()));
  const size_t number_size = NumberSize(array.type);
  // At most 2^60 numbers of at most 8 bytes: no overflow.
  const uint64_t expected = *count * number_size;
  const uint64_t found = bytes.size() - header_at - length;
  if (found != expected) {
    return error(absl::StrCat("it has ", found, " bytes of data, expected ",
                              expected, " for the shape ",
                              ShapeToString(header.shape)));
  }
  bytes.erase(0, header_at + length);
  if (header.descr[0] == '>') SwapBytes(number_size, &bytes);
  array.bytes = header.fortran_order
                    ? FromFortranOrder(bytes, header.shape, number_size)
                    : std::move(bytes);
  array.shape = std::move(header.shape);
  return array;
}

absl::StatusOr<NumericArray> ReadNpy(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a folder, expected an NPY file"));
  }
  MB_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path));
  return ParseNpy(std::move(bytes), path);
}

absl::StatusOr<std::vector<std::string>> NpzNames(const std::string& path) {
  MB_ASSIGN_OR_RETURN(const ZipReader zip, ZipReader::Open(path));
  return ArrayNames(zip);
}

absl::StatusOr<std::vector<NumericArray>> ReadNpz(
    const std::string& path, const std::vector<std::string>& names) {
  MB_ASSIGN_OR_RETURN(const ZipReader zip, ZipReader::Open(path));
  std::vector<NumericArray> arrays;
  for (const std::string& name : names) {
    const std::optional<size_t> index = zip.Find(absl::StrCat(name, ".npy"));
    if (!index) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": has no array \"", name, "\"",
                       SuggestName(name, ArrayNames(zip))));
    }
    MB_ASSIGN_OR_RETURN(std::string bytes, zip.Read(*index));
    MB_ASSIGN_OR_RETURN(
        NumericArray array,
        ParseNpy(std::move(bytes), absl::StrCat(path, ": ", name)));
    arrays.push_back(std::move(array));
  }
  return arrays;
}

}  // namespace modelbatch
