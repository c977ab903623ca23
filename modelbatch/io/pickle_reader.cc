#include "modelbatch/io/pickle_reader.h"

#include <cstring>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "modelbatch/io/utf8.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxMarks = 256;      // nested containers under construction
constexpr size_t kMaxName = 256;       // of a global
constexpr size_t kMaxMemo = 1u << 24;  // entries
constexpr char kOrderedDict[] = "collections.OrderedDict";

// Python's pickletools describes each.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinUnicode = 'X',
  kEmptyList = ']',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyTuple = ')',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
};

// Opcodes that a program may well have written, for messages.
std::string OpcodeName(uint8_t opcode) {
  static const auto* const kNames =
      new std::unordered_map<uint8_t, const char*>{{'0', "POP"},
                                                   {'1', "POP_MARK"},
                                                   {'2', "DUP"},
                                                   {'F', "FLOAT"},
                                                   {'I', "INT"},
                                                   {'L', "LONG"},
                                                   {'P', "PERSID"},
                                                   {'S', "STRING"},
                                                   {'T', "BINSTRING"},
                                                   {'U', "SHORT_BINSTRING"},
                                                   {'V', "UNICODE"},
                                                   {'d', "DICT"},
                                                   {'g', "GET"},
                                                   {'i', "INST"},
                                                   {'l', "LIST"},
                                                   {'o', "OBJ"},
                                                   {'p', "PUT"},
                                                   {'B', "BINBYTES"},
                                                   {'C', "SHORT_BINBYTES"},
                                                   {0x81, "NEWOBJ"},
                                                   {0x82, "EXT1"},
                                                   {0x83, "EXT2"},
                                                   {0x84, "EXT4"},
                                                   {0x8b, "LONG4"},
                                                   {0x8c, "SHORT_BINUNICODE"},
                                                   {0x8d, "BINUNICODE8"},
                                                   {0x8e, "BINBYTES8"},
                                                   {0x8f, "EMPTY_SET"},
                                                   {0x90, "ADDITEMS"},
                                                   {0x91, "FROZENSET"},
                                                   {0x92, "NEWOBJ_EX"},
                                                   {0x93, "STACK_GLOBAL"},
                                                   {0x94, "MEMOIZE"},
                                                   {0x95, "FRAME"}};
  const auto it = kNames->find(opcode);
  return it == kNames->end() ? absl::StrFormat("0x%02x", opcode) : it->second;
}

// The stack machine. Values are made by opcodes and never by what they say, so
// that memory is bounded by the pickle's length.
class Machine {
 public:
  Machine(const std::string& bytes, const std::set<std::string>& globals)
      : bytes_(bytes), globals_(globals) {}

  absl::StatusOr<Pickle> Run() {
    while (true) {
      opcode_at_ = at_;
      MB_ASSIGN_OR_RETURN(const uint64_t opcode, Number(1));
      if (opcode_at_ == 0 && opcode != kProto) {
        return Damaged("it does not begin with a protocol");
      }
      if (opcode == kStop) break;
      MB_RETURN_IF_ERROR(Execute(static_cast<uint8_t>(opcode)));
    }
    if (!marks_.empty() || stack_.size() != 1) {
      return Damaged(
          absl::StrCat("it ends with ", stack_.size(), " values, expected 1"));
    }
    if (at_ != bytes_.size()) return Damaged("bytes follow its end");
    pickle_.root = stack_[0];
    return std::move(pickle_);
  }

 private:
  absl::Status Damaged(const std::string& message) const {
    return absl::DataLossError(
        absl::StrCat("not a valid pickle: byte ", opcode_at_, ": ", message));
  }

  absl::Status Refused(const std::string& message) const {
    return absl::InvalidArgumentError(
        absl::StrCat("pickle, byte ", opcode_at_, ": ", message));
  }

  absl::StatusOr<std::string_view> Take(uint64_t size) {
    if (size > bytes_.size() - at_) {
      return Damaged(absl::StrCat("expected ", size, " more bytes, found ",
                                  bytes_.size() - at_));
    }
    const std::string_view taken(bytes_.data() + at_, size);
    at_ += size;
    return taken;
  }

  // Unsigned, little endian.
  absl::StatusOr<uint64_t> Number(size_t size) {
    MB_ASSIGN_OR_RETURN(const std::string_view bytes, Take(size));
    uint64_t value = 0;
    for (size_t i = size; i > 0; --i) {
      value = value << 8 | static_cast<uint8_t>(bytes[i - 1]);
    }
    return value;
  }

  absl::StatusOr<std::string> Line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == std::string::npos || end - at_ > kMaxName) {
      return Damaged("the name of a global does not end");
    }
    std::string line = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return line;
  }

  PickleValue* Make(Kind kind) {
    pickle_.values.emplace_back();
    pickle_.values.back().kind = kind;
    return &pickle_.values.back();
  }

  absl::Status Push(PickleValue* value) {
    stack_.push_back(value);
    return absl::OkStatus();
  }

  absl::Status PushInt(Kind kind, int64_t integer) {
    PickleValue* value = Make(kind);
    value->integer = integer;
    return Push(value);
  }

  // Values above the last mark, of which at least `count` must be there.
  absl::Status Need(size_t count) const {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() - floor >= count) return absl::OkStatus();
    return Damaged("an operation lacks its values");
  }

  PickleValue* Pop() {
    PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }

  absl::Status PushTuple(size_t count) {
    MB_RETURN_IF_ERROR(Need(count));
    PickleValue* tuple = Make(Kind::kTuple);
    tuple->items.assign(stack_.end() - count, stack_.end());
    stack_.resize(stack_.size() - count);
    return Push(tuple);
  }

  // The values above the last mark, and the mark, leave the stack.
  absl::StatusOr<std::vector<const PickleValue*>> PopToMark() {
    if (marks_.empty()) return Damaged("an operation lacks its mark");
    const size_t mark = marks_.back();
    marks_.pop_back();
    std::vector<const PickleValue*> values(stack_.begin() + mark, stack_.end());
    stack_.resize(mark);
    return values;
  }

  absl::Status Extend(Kind kind, const std::vector<const PickleValue*>& items) {
    MB_RETURN_IF_ERROR(Need(1));
    PickleValue* container = stack_.back();
    if (container->kind != kind) {
      return Damaged(
          absl::StrCat("items are added to ", DescribePickle(*container)));
    }
    if (kind == Kind::kDict && items.size() % 2 != 0) {
      return Damaged("a key has no value");
    }
    container->items.insert(container->items.end(), items.begin(), items.end());
    return absl::OkStatus();
  }

  absl::Status ExtendByTop(Kind kind, size_t count) {
    MB_RETURN_IF_ERROR(Need(count));
    const std::vector<const PickleValue*> items(stack_.end() - count,
                                                stack_.end());
    stack_.resize(stack_.size() - count);
    return Extend(kind, items);
  }

  absl::Status PushGlobal() {
    MB_ASSIGN_OR_RETURN(const std::string module, Line());
    MB_ASSIGN_OR_RETURN(const std::string name, Line());
    const std::string global = absl::StrCat(module, ".", name);
    if (global != kOrderedDict && globals_.count(global) == 0) {
      return Refused(absl::StrCat("the global ",
                                  IsValidUtf8(global) ? global : "(not UTF-8)",
                                  " is not allowed"));
    }
    PickleValue* value = Make(Kind::kGlobal);
    value->text = global;
    return Push(value);
  }

  absl::Status Reduce() {
    MB_RETURN_IF_ERROR(Need(2));
    const PickleValue* arguments = Pop();
    const PickleValue* function = Pop();
    if (function->kind != Kind::kGlobal || arguments->kind != Kind::kTuple) {
      return Damaged(absl::StrCat(DescribePickle(*function), " is called with ",
                                  DescribePickle(*arguments)));
    }
    if (function->text == kOrderedDict) {
      if (!arguments->items.empty()) {
        return Refused("collections.OrderedDict is called with arguments");
      }
      return Push(Make(Kind::kDict));
    }
    PickleValue* call = Make(Kind::kCall);
    call->items = {function, arguments};
    return Push(call);
  }

  // Attributes of an OrderedDict: nothing of ours is among them.
  absl::Status Build() {
    MB_RETURN_IF_ERROR(Need(2));
    const PickleValue* state = Pop();
    if (stack_.back()->kind != Kind::kDict || state->kind != Kind::kDict) {
      return Refused(absl::StrCat("BUILD sets ", DescribePickle(*state), " on ",
                                  DescribePickle(*stack_.back()),
                                  ", expected attributes of an OrderedDict"));
    }
    return absl::OkStatus();
  }

  absl::Status PushString() {
    MB_ASSIGN_OR_RETURN(const uint64_t size, Number(4));
    MB_ASSIGN_OR_RETURN(const std::string_view text, Take(size));
    if (!IsValidUtf8(text)) return Damaged("a string is not UTF-8");
    PickleValue* value = Make(Kind::kString);
    value->text = std::string(text);
    return Push(value);
  }

  // Two's complement, little endian, as short as it can be.
  absl::Status PushLong() {
    MB_ASSIGN_OR_RETURN(const uint64_t size, Number(1));
    if (size > 8) {
      return Refused("an integer has more than 64 bits");
    }
    MB_ASSIGN_OR_RETURN(const uint64_t bits, Number(size));
    const int shift = 64 - 8 * static_cast<int>(size);
    if (size == 0) return PushInt(Kind::kInt, 0);
    return PushInt(Kind::kInt, static_cast<int64_t>(bits << shift) >> shift);
  }

  // IEEE 754, big endian.
  absl::Status PushFloat() {
    MB_ASSIGN_OR_RETURN(const uint64_t bytes, Number(8));
    const uint64_t bits = __builtin_bswap64(bytes);
    PickleValue* value = Make(Kind::kFloat);
    std::memcpy(&value->number, &bits, sizeof(bits));
    return Push(value);
  }

  absl::Status Put(size_t index_size) {
    MB_ASSIGN_OR_RETURN(const uint64_t index, Number(index_size));
    MB_RETURN_IF_ERROR(Need(1));
    if (index >= kMaxMemo) {
      return Refused(absl::StrCat("memo entry ", index, ", expected less than ",
                                  kMaxMemo));
    }
    memo_[index] = stack_.back();
    return absl::OkStatus();
  }

  absl::Status Get(size_t index_size) {
    MB_ASSIGN_OR_RETURN(const uint64_t index, Number(index_size));
    const auto it = memo_.find(index);
    if (it == memo_.end()) {
      return Damaged(absl::StrCat("memo entry ", index, " was not set"));
    }
    return Push(it->second);
  }

  absl::Status CheckProtocol() {
    MB_ASSIGN_OR_RETURN(const uint64_t protocol, Number(1));
    if (protocol == 2 && opcode_at_ == 0) return absl::OkStatus();
    return Refused(absl::StrCat("protocol ", protocol,
                                ", expected 2, once, as torch.save writes "
                                "without pickle_protocol"));
  }

  absl::Status Execute(uint8_t opcode) {
    switch (opcode) {
      case kProto:
        return CheckProtocol();
      case kMark:
        if (marks_.size() == kMaxMarks) {
          return Refused(absl::StrCat("nested more than ", kMaxMarks, " deep"));
        }
        marks_.push_back(stack_.size());
        return absl::OkStatus();
      case kNone:
        return Push(Make(Kind::kNone));
      case kNewTrue:
        return PushInt(Kind::kBool, 1);
      case kNewFalse:
        return PushInt(Kind::kBool, 0);
      case kBinInt: {
        MB_ASSIGN_OR_RETURN(const uint64_t value, Number(4));
        return PushInt(Kind::kInt, static_cast<int32_t>(value));
      }
      case kBinInt1:
      case kBinInt2: {
        MB_ASSIGN_OR_RETURN(const uint64_t value,
                            Number(opcode == kBinInt1 ? 1 : 2));
        return PushInt(Kind::kInt, static_cast<int64_t>(value));
      }
      case kLong1:
        return PushLong();
      case kBinFloat:
        return PushFloat();
      case kBinUnicode:
        return PushString();
      case kEmptyTuple:
        return PushTuple(0);
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return PushTuple(opcode - kTuple1 + 1);
      case kTuple: {
        if (marks_.empty()) return Damaged("an operation lacks its mark");
        const size_t count = stack_.size() - marks_.back();
        marks_.pop_back();
        return PushTuple(count);
      }
      case kEmptyList:
        return Push(Make(Kind::kList));
      case kEmptyDict:
        return Push(Make(Kind::kDict));
      case kAppend:
        return ExtendByTop(Kind::kList, 1);
      case kSetItem:
        return ExtendByTop(Kind::kDict, 2);
      case kAppends:
      case kSetItems: {
        MB_ASSIGN_OR_RETURN(const std::vector<const PickleValue*> items,
                            PopToMark());
        return Extend(opcode == kAppends ? Kind::kList : Kind::kDict, items);
      }
      case kGlobal:
        return PushGlobal();
      case kReduce:
        return Reduce();
      case kBuild:
        return Build();
      case kBinPersId: {
        MB_RETURN_IF_ERROR(Need(1));
        const PickleValue* id = Pop();
        PickleValue* value = Make(Kind::kPersistent);
        value->items = {id};
        return Push(value);
      }
      case kBinPut:
        return Put(1);
      case kLongBinPut:
        return Put(4);
      case kBinGet:
        return Get(1);
      case kLongBinGet:
        return Get(4);
      default:
        return Refused(
            absl::StrCat("the opcode ", OpcodeName(opcode), " is not allowed"));
    }
  }

  const std::string& bytes_;
  const std::set<std::string>& globals_;
  Pickle pickle_;
  size_t at_ = 0;
  size_t opcode_at_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::unordered_map<uint64_t, PickleValue*> memo_;
};

}  // namespace

std::string DescribePickle(const PickleValue& value) {
  switch (value.kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.integer != 0 ? "True" : "False";
    case Kind::kInt:
      return absl::StrCat("the integer ", value.integer);
    case Kind::kFloat:
      return absl::StrCat("the number ", value.number);
    case Kind::kString:
      return "a string";
    case Kind::kTuple:
      return absl::StrCat("a tuple of ", value.items.size());
    case Kind::kList:
      return absl::StrCat("a list of ", value.items.size());
    case Kind::kDict:
      return absl::StrCat("a dict of ", value.items.size() / 2);
    case Kind::kGlobal:
      return value.text;
    case Kind::kCall:
      return absl::StrCat(value.items[0]->text, "(...)");
    case Kind::kPersistent:
      return "a storage";
  }
  return "";
}

absl::StatusOr<Pickle> ReadPickle(const std::string& bytes,
                                  const std::set<std::string>& globals) {
  return Machine(bytes, globals).Run();
}

}  // namespace modelbatch
