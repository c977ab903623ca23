#include "modelbatch/io/pytorch_state_dict.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "modelbatch/io/pickle_reader.h"
#include "modelbatch/io/utf8.h"
#include "modelbatch/io/zip_reader.h"
#include "modelbatch/io/zip_writer.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

using Kind = PickleValue::Kind;

// Names and shapes take some 200 bytes a tensor.
constexpr uint64_t kMaxPickle = uint64_t{32} << 20;
constexpr uint64_t kMaxFile = uint64_t{64} << 30;
// Expanded and shared tensors may take more memory than the file, so that a
// small file could ask for any amount.
constexpr uint64_t kMaxExpansion = 16;
constexpr uint64_t kAlwaysAllowed = uint64_t{1} << 30;
constexpr int64_t kMaxCount = int64_t{1} << 60;
// More dimensions than any tensor has.
constexpr size_t kMaxRank = 64;
// The newest that there is (c10's kMaxSupportedFileFormatVersion).
constexpr int kMaxVersion = 10;

constexpr char kRebuildTensor[] = "torch._utils._rebuild_tensor_v2";
constexpr char kRebuildTensorV3[] = "torch._utils._rebuild_tensor_v3";
constexpr char kRebuildParameter[] = "torch._utils._rebuild_parameter";
constexpr char kUntypedStorage[] = "torch.storage.UntypedStorage";

struct StorageType {
  const char* global;
  const char* dtype;           // PyTorch's name
  std::optional<DType> known;  // ours
};

constexpr StorageType kStorageTypes[] = {
    {"torch.FloatStorage", "float32", DType::kFloat32},
    {"torch.DoubleStorage", "float64", DType::kFloat64},
    {"torch.IntStorage", "int32", DType::kInt32},
    {"torch.LongStorage", "int64", DType::kInt64},
    {"torch.ByteStorage", "uint8", DType::kUInt8},
    {"torch.HalfStorage", "float16", std::nullopt},
    {"torch.BFloat16Storage", "bfloat16", std::nullopt},
    {"torch.BoolStorage", "bool", std::nullopt},
    {"torch.CharStorage", "int8", std::nullopt},
    {"torch.ShortStorage", "int16", std::nullopt},
    {"torch.ComplexFloatStorage", "complex64", std::nullopt},
    {"torch.ComplexDoubleStorage", "complex128", std::nullopt},
    {"torch.QInt8Storage", "qint8", std::nullopt},
    {"torch.QUInt8Storage", "quint8", std::nullopt},
    {"torch.QInt32Storage", "qint32", std::nullopt},
};

// Those that are saved without a storage type of their own: none of ours.
constexpr const char* kOtherDTypes[] = {
    "uint16",         "uint32",          "uint64",      "complex32",
    "float8_e4m3fn",  "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
    "float8_e8m0fnu", "float4_e2m1fn_x2"};

const char* StorageName(DType dtype) {
  for (const StorageType& type : kStorageTypes) {
    if (type.known == dtype) return type.global;
  }
  return "";
}

const std::set<std::string>& Globals() {
  static const auto* const kGlobals = [] {
    auto* globals = new std::set<std::string>{
        kRebuildTensor, kRebuildTensorV3, kRebuildParameter, kUntypedStorage};
    for (const StorageType& type : kStorageTypes) globals->insert(type.global);
    for (const char* dtype : kOtherDTypes) {
      globals->insert(absl::StrCat("torch.", dtype));
    }
    return globals;
  }();
  return *kGlobals;
}

// A tensor as the pickle describes it: elements of a storage.
struct View {
  DType dtype = DType::kFloat32;
  std::string key;  // of the storage
  int64_t storage_size = 0;
  int64_t offset = 0;
  Shape shape;
  Shape strides;
};

// Bounds were checked before.
template <typename T>
void CopyElements(const View& view, const char* storage, void* destination) {
  T* to = static_cast<T*>(destination);
  const size_t rank = view.shape.size();
  const int64_t count = NumElements(view.shape);
  Shape index(rank, 0);
  int64_t from = view.offset;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(&to[i], storage + from * sizeof(T), sizeof(T));
    for (size_t d = rank; d-- > 0;) {
      from += view.strides[d];
      if (++index[d] < view.shape[d]) break;
      from -= view.strides[d] * view.shape[d];
      index[d] = 0;
    }
  }
}

bool IsContiguous(const View& view) {
  int64_t expected = 1;
  for (size_t d = view.shape.size(); d-- > 0;) {
    if (view.shape[d] != 1 && view.strides[d] != expected) return false;
    expected *= view.shape[d];
  }
  return true;
}

Tensor MakeTensor(const View& view, const std::string& storage) {
  Tensor tensor = Tensor::Zeros(view.dtype, view.shape);
  const size_t element = DTypeSize(view.dtype);
  if (tensor.size() == 0) return tensor;
  if (IsContiguous(view)) {
    std::memcpy(tensor.raw(), storage.data() + view.offset * element,
                tensor.byte_size());
    return tensor;
  }
  // Bits are moved, whatever they mean.
  if (element == 1) {
    CopyElements<uint8_t>(view, storage.data(), tensor.raw());
  } else if (element == 4) {
    CopyElements<uint32_t>(view, storage.data(), tensor.raw());
  } else {
    CopyElements<uint64_t>(view, storage.data(), tensor.raw());
  }
  return tensor;
}

class Reader {
 public:
  explicit Reader(const ZipReader& zip) : zip_(zip) {}

  absl::StatusOr<StateDict> Read() {
    MB_RETURN_IF_ERROR(FindFolder());
    MB_RETURN_IF_ERROR(CheckKind());
    MB_ASSIGN_OR_RETURN(const std::string bytes,
                        ReadSmall("data.pkl", kMaxPickle));
    absl::StatusOr<Pickle> pickle = ReadPickle(bytes, Globals());
    if (!pickle.ok()) {
      return absl::Status(
          pickle.status().code(),
          absl::StrCat(zip_.name(), ": ", pickle.status().message(),
                       "; expected a dict of tensors, as torch.save("
                       "module.state_dict(), path) writes"));
    }
    MB_RETURN_IF_ERROR(ReadDict(*pickle->root));
    return ReadStorages();
  }

 private:
  absl::Status Refused(const std::string& message) const {
    return absl::InvalidArgumentError(absl::StrCat(zip_.name(), ": ", message));
  }

  absl::Status Damaged(const std::string& message) const {
    return absl::DataLossError(absl::StrCat(
        zip_.name(), ": not a valid PyTorch checkpoint: ", message));
  }

  absl::Status TensorError(const std::string& name,
                           const std::string& message) const {
    return Damaged(absl::StrCat("tensor \"", name, "\": ", message));
  }

  // All entries lie in one folder, of any name.
  absl::Status FindFolder() {
    if (zip_.entries().empty()) return Damaged("the archive is empty");
    const std::string& first = zip_.entries()[0].name;
    folder_ = first.substr(0, first.find('/') + 1);
    for (const ZipEntry& entry : zip_.entries()) {
      if (folder_.empty() || !absl::StartsWith(entry.name, folder_)) {
        return Refused(
            absl::StrCat("is a zip archive, but none of torch.save: "
                         "\"",
                         entry.name, "\" is not in one folder with the rest"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckKind() const {
    if (zip_.Find(folder_ + "constants.pkl")) {
      return Refused(
          "is a TorchScript archive, expected a state dict: load it by "
          "torch.jit.load in PyTorch and torch.save its state_dict()");
    }
    MB_ASSIGN_OR_RETURN(const std::string version, ReadSmall("version", 64));
    int number = 0;
    if (!absl::SimpleAtoi(version, &number) || number < 1) {
      return Damaged("\"version\" is no number");
    }
    if (number > kMaxVersion) {
      return absl::UnimplementedError(
          absl::StrCat(zip_.name(), ": format version ", number,
                       ", expected at most ", kMaxVersion));
    }
    // PyTorch before 2.1 does not write it.
    if (!zip_.Find(folder_ + "byteorder")) return absl::OkStatus();
    MB_ASSIGN_OR_RETURN(const std::string order, ReadSmall("byteorder", 64));
    if (order == "big") {
      return absl::UnimplementedError(absl::StrCat(
          zip_.name(), ": its byte order is big endian, expected little"));
    }
    if (order != "little") return Damaged("an unknown byte order");
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> ReadSmall(const std::string& name,
                                        uint64_t limit) const {
    const std::optional<size_t> index = zip_.Find(folder_ + name);
    if (!index) return Damaged(absl::StrCat("it lacks \"", name, "\""));
    const ZipEntry& entry = zip_.entries()[*index];
    if (entry.compressed || entry.size > limit) {
      return Refused(absl::StrCat("\"", name, "\" has ", entry.size,
                                  entry.compressed ? " compressed" : "",
                                  " bytes, expected at most ", limit,
                                  ", not compressed"));
    }
    return zip_.Read(*index);
  }

  absl::Status ReadDict(const PickleValue& root) {
    if (root.kind != Kind::kDict) {
      return Refused(absl::StrCat("has ", DescribePickle(root),
                                  ", expected a dict of tensors"));
    }
    std::set<std::string> names;
    for (size_t i = 0; i < root.items.size(); i += 2) {
      if (root.items[i]->kind != Kind::kString) {
        return Refused(absl::StrCat("the dict has a key that is ",
                                    DescribePickle(*root.items[i]),
                                    ", expected a string"));
      }
      const std::string& name = root.items[i]->text;
      if (!names.insert(name).second) {
        return TensorError(name, "the name appears more than once");
      }
      MB_ASSIGN_OR_RETURN(View view, ReadView(name, *root.items[i + 1]));
      names_.push_back(name);
      views_.push_back(std::move(view));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<View> ReadView(const std::string& name,
                                const PickleValue& value) {
    const PickleValue* tensor = &value;
    if (tensor->IsCallOf(kRebuildParameter)) {
      const std::vector<const PickleValue*>& arguments =
          tensor->items[1]->items;
      if (arguments.size() != 3) {
        return TensorError(name, "a parameter without its three arguments");
      }
      tensor = arguments[0];
    }
    const bool v3 = tensor->IsCallOf(kRebuildTensorV3);
    if (!v3 && !tensor->IsCallOf(kRebuildTensor)) {
      const bool dict = tensor->kind == Kind::kDict;
      return Refused(absl::StrCat(
          "\"", name, "\" is ", DescribePickle(*tensor), ", expected a tensor",
          dict ? ": torch.save the inner dict by itself" : ""));
    }
    // (storage, offset, shape, strides, requires_grad, hooks); v3 has the
    // dtype next; then there may be a dict of what the bits do not say.
    const std::vector<const PickleValue*>& arguments = tensor->items[1]->items;
    const size_t usual = v3 ? 7 : 6;
    if (arguments.size() != usual && arguments.size() != usual + 1) {
      return TensorError(name, absl::StrCat("a tensor with ", arguments.size(),
                                            " arguments, expected ", usual));
    }
    if (v3) return DTypeError(name, DescribePickle(*arguments[6]));
    if (arguments.size() > usual && (arguments[usual]->kind != Kind::kDict ||
                                     !arguments[usual]->items.empty())) {
      return absl::UnimplementedError(
          absl::StrCat(zip_.name(), ": tensor \"", name,
                       "\": is a lazy negation or conjugation, expected "
                       "resolve_neg() or resolve_conj() of it"));
    }
    View view;
    MB_RETURN_IF_ERROR(ReadStorageId(name, *arguments[0], &view));
    if (arguments[1]->kind != Kind::kInt || arguments[1]->integer < 0) {
      return TensorError(name, "the offset is no offset");
    }
    view.offset = arguments[1]->integer;
    MB_ASSIGN_OR_RETURN(view.shape, ReadSizes(name, *arguments[2]));
    MB_ASSIGN_OR_RETURN(view.strides, ReadSizes(name, *arguments[3]));
    MB_RETURN_IF_ERROR(CheckBounds(name, view));
    return view;
  }

  absl::Status DTypeError(const std::string& name,
                          std::string_view dtype) const {
    constexpr std::string_view kPrefix = "torch.";
    if (dtype.substr(0, kPrefix.size()) == kPrefix) {
      dtype.remove_prefix(kPrefix.size());
    }
    return absl::UnimplementedError(absl::StrCat(
        zip_.name(), ": tensor \"", name, "\": dtype ", std::string(dtype),
        " is not supported, expected float32, float64, int32, int64 or uint8"));
  }

  // ("storage", type, key, location, elements)
  absl::Status ReadStorageId(const std::string& name, const PickleValue& value,
                             View* view) const {
    if (value.kind != Kind::kPersistent ||
        value.items[0]->kind != Kind::kTuple ||
        value.items[0]->items.size() != 5) {
      return TensorError(name, "it has no storage");
    }
    const std::vector<const PickleValue*>& id = value.items[0]->items;
    if (id[0]->text != "storage" || id[1]->kind != Kind::kGlobal ||
        id[2]->kind != Kind::kString || id[3]->kind != Kind::kString ||
        id[4]->kind != Kind::kInt || id[4]->integer < 0) {
      return TensorError(name, "its storage is not one of torch.save's");
    }
    const auto type = std::find_if(
        std::begin(kStorageTypes), std::end(kStorageTypes),
        [&id](const StorageType& t) { return id[1]->text == t.global; });
    if (type == std::end(kStorageTypes)) {
      return TensorError(name,
                         absl::StrCat("its storage is of type ", id[1]->text));
    }
    if (!type->known) return DTypeError(name, type->dtype);
    view->dtype = *type->known;
    view->key = id[2]->text;
    view->storage_size = id[4]->integer;
    return absl::OkStatus();
  }

  absl::StatusOr<Shape> ReadSizes(const std::string& name,
                                  const PickleValue& value) const {
    if (value.kind != Kind::kTuple || value.items.size() > kMaxRank) {
      return TensorError(name, "shape or strides are not a tuple of sizes");
    }
    Shape sizes;
    for (const PickleValue* item : value.items) {
      if (item->kind != Kind::kInt || item->integer < 0 ||
          item->integer > kMaxCount) {
        return TensorError(
            name, absl::StrCat("shape or strides have ", DescribePickle(*item),
                               ", expected a size"));
      }
      sizes.push_back(item->integer);
    }
    return sizes;
  }

  // Every element lies in the storage, and all tensors together are no more
  // than the file can mean.
  absl::Status CheckBounds(const std::string& name, const View& view) {
    if (view.shape.size() != view.strides.size()) {
      return TensorError(name,
                         absl::StrCat("has ", view.shape.size(), " sizes and ",
                                      view.strides.size(), " strides"));
    }
    int64_t count = 1;
    int64_t last = view.offset;
    bool empty = false;
    for (size_t d = 0; d < view.shape.size(); ++d) {
      empty = empty || view.shape[d] == 0;
      const int64_t size = std::max<int64_t>(view.shape[d], 1);
      int64_t reach = 0;
      if (__builtin_mul_overflow(count, size, &count) || count > kMaxCount ||
          __builtin_mul_overflow(size - 1, view.strides[d], &reach) ||
          __builtin_add_overflow(last, reach, &last)) {
        return TensorError(
            name,
            absl::StrCat("shape ", ShapeToString(view.shape), " overflows"));
      }
    }
    if (empty) return absl::OkStatus();
    if (last >= view.storage_size) {
      return TensorError(name,
                         absl::StrCat("its last element is number ", last,
                                      " of a storage of ", view.storage_size));
    }
    // At most 2^60 elements of 8 bytes, and a sum of two such: no overflow.
    total_ += count * DTypeSize(view.dtype);
    const uint64_t limit =
        std::max(kAlwaysAllowed, kMaxExpansion * zip_.archive_size());
    if (total_ > limit) {
      return Refused(
          absl::StrCat("tensor \"", name, "\": the tensors would take ", total_,
                       " bytes, expected at most ", limit, " of a file of ",
                       zip_.archive_size(), ": save contiguous() tensors"));
    }
    return absl::OkStatus();
  }

  // One storage after the other, so that only one is in memory beside the
  // tensors.
  absl::StatusOr<StateDict> ReadStorages() const {
    StateDict result;
    std::map<std::string, std::vector<size_t>> users;
    for (size_t i = 0; i < views_.size(); ++i) {
      result.push_back({names_[i], Tensor()});
      users[views_[i].key].push_back(i);
    }
    for (const auto& [key, indices] : users) {
      MB_ASSIGN_OR_RETURN(const std::string storage, ReadStorage(indices));
      for (size_t i : indices) {
        result[i].tensor = MakeTensor(views_[i], storage);
      }
    }
    return result;
  }

  absl::StatusOr<std::string> ReadStorage(
      const std::vector<size_t>& users) const {
    const std::string& name = names_[users[0]];
    const std::string entry_name =
        absl::StrCat(folder_, "data/", views_[users[0]].key);
    const std::optional<size_t> index = zip_.Find(entry_name);
    if (!index) {
      return TensorError(name, absl::StrCat("the archive lacks its storage \"",
                                            entry_name, "\""));
    }
    const ZipEntry& entry = zip_.entries()[*index];
    if (entry.compressed) {
      return Refused(absl::StrCat("tensor \"", name, "\": its storage \"",
                                  entry_name,
                                  "\" is compressed, expected it stored, as "
                                  "torch.save does"));
    }
    for (size_t i : users) {
      const View& view = views_[i];
      // The division: the product could overflow.
      const uint64_t element = DTypeSize(view.dtype);
      if (entry.size % element != 0 ||
          entry.size / element != static_cast<uint64_t>(view.storage_size)) {
        return TensorError(
            names_[i],
            absl::StrCat("its storage \"", entry_name, "\" has ", entry.size,
                         " bytes, expected ", view.storage_size,
                         " elements of ", element));
      }
    }
    return zip_.Read(*index);
  }

  const ZipReader& zip_;
  std::string folder_;  // "archive/"
  std::vector<std::string> names_;
  std::vector<View> views_;
  uint64_t total_ = 0;
};

// What is no zip archive at all may be one of PyTorch's older formats.
absl::Status CheckMagic(const std::string& begin, const std::string& name) {
  // A pickled long, 0x1950a86a20f9469cfc6c.
  constexpr std::string_view kLegacy =
      "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  if (begin.substr(0, kLegacy.size()) == kLegacy) {
    return absl::InvalidArgumentError(absl::StrCat(
        name,
        ": is of the legacy format, before PyTorch 1.6, expected a zip "
        "archive: torch.load it in PyTorch and torch.save it again"));
  }
  if (absl::StartsWith(begin, "PK")) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      name,
      ": not a PyTorch checkpoint: it does not begin as a zip archive does"));
}

// Opcodes of a pickle, appended to a string.
class PickleWriter {
 public:
  void Raw(std::string_view bytes) { text_.append(bytes); }

  void Global(const char* module, const std::string& name) {
    absl::StrAppend(&text_, "c", module, "\n", name, "\n");
  }

  void String(const std::string& text) {
    Raw("X");
    Bytes(text.size(), 4);
    Raw(text);
  }

  void Int(int64_t value) {  // not negative
    if (value < 1 << 8) {
      Raw("K");
      Bytes(value, 1);
    } else if (value <= INT32_MAX) {
      Raw("J");
      Bytes(value, 4);
    } else {
      Raw("\x8a\x08");
      Bytes(value, 8);
    }
  }

  void Tuple(const Shape& values) {
    Raw("(");
    for (int64_t value : values) Int(value);
    Raw("t");
  }

  std::string Take() { return std::move(text_); }

 private:
  void Bytes(uint64_t value, int count) {
    for (int i = 0; i < count; ++i, value >>= 8) {
      text_.push_back(static_cast<char>(value & 0xff));
    }
  }

  std::string text_;
};

Shape ContiguousStrides(const Shape& shape) {
  Shape strides(shape.size());
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= std::max<int64_t>(shape[d], 1);
  }
  return strides;
}

std::string PickleTensors(const std::vector<NamedTensor>& tensors) {
  PickleWriter out;
  out.Raw("\x80\x02");
  out.Global("collections", "OrderedDict");
  out.Raw(")R(");
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = *tensors[i].tensor;
    out.String(tensors[i].name);
    out.Global("torch._utils", "_rebuild_tensor_v2");
    out.Raw("((");
    out.String("storage");
    out.Global("torch", std::string(absl::StripPrefix(
                            StorageName(tensor.dtype()), "torch.")));
    out.String(absl::StrCat(i));
    out.String("cpu");
    out.Int(tensor.size());
    out.Raw("tQ");
    out.Int(0);
    out.Tuple(tensor.shape());
    out.Tuple(ContiguousStrides(tensor.shape()));
    out.Raw("\x89");  // requires_grad = False
    out.Global("collections", "OrderedDict");
    out.Raw(")RtR");
  }
  out.Raw("u.");
  return out.Take();
}

}  // namespace

absl::Status WritePyTorchStateDict(const std::string& path,
                                   const std::vector<NamedTensor>& tensors,
                                   AtomicFiles* files) {
  std::set<std::string> names;
  for (const NamedTensor& entry : tensors) {
    if (!IsValidUtf8(entry.name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot write ", path, ": the name of tensor ",
                       names.size(), " is not valid UTF-8"));
    }
    if (!names.insert(entry.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot write ", path, ": the name \"", entry.name,
                       "\" appears more than once"));
    }
  }
  const std::string pickle = PickleTensors(tensors);
  ZipWriter zip;
  zip.Add("archive/data.pkl", pickle.data(), pickle.size());
  constexpr std::string_view kByteOrder = "little";
  zip.Add("archive/byteorder", kByteOrder.data(), kByteOrder.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    zip.Add(absl::StrCat("archive/data/", i), tensors[i].tensor->raw(),
            tensors[i].tensor->byte_size());
  }
  constexpr std::string_view kVersion = "3\n";
  zip.Add("archive/version", kVersion.data(), kVersion.size());
  return zip.Write(path, files);
}

absl::StatusOr<StateDict> ParsePyTorchStateDict(const std::string& bytes,
                                                const std::string& name) {
  MB_RETURN_IF_ERROR(CheckMagic(bytes.substr(0, 64), name));
  MB_ASSIGN_OR_RETURN(const ZipReader zip, ZipReader::FromBytes(bytes, name));
  return Reader(zip).Read();
}

absl::StatusOr<StateDict> ReadPyTorchStateDict(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) {
    const uint64_t size = std::filesystem::file_size(path, ignored);
    if (size > kMaxFile) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": has ", size, " bytes, expected at most ", kMaxFile));
    }
    std::ifstream file(path, std::ios::binary);
    std::string begin(64, '\0');
    file.read(begin.data(), begin.size());
    begin.resize(file.gcount());
    if (file.is_open()) MB_RETURN_IF_ERROR(CheckMagic(begin, path));
  }
  // Says what is wrong with what can not be read.
  MB_ASSIGN_OR_RETURN(const ZipReader zip, ZipReader::Open(path));
  return Reader(zip).Read();
}

}  // namespace modelbatch
