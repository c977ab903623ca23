// Reads a pickle of protocol 2 without executing it: a call in the pickle
// becomes a value that says which function with which arguments, and only
// functions that the caller names may appear at all.
//
//   MB_ASSIGN_OR_RETURN(
//       Pickle pickle, ReadPickle(bytes, {"torch._utils._rebuild_tensor_v2"}));
//
// Private to io/.
#ifndef MODELBATCH_IO_PICKLE_READER_H_
#define MODELBATCH_IO_PICKLE_READER_H_

#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace modelbatch {

struct PickleValue {
  enum class Kind {
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kTuple,
    kList,
    kDict,
    kGlobal,
    kCall,
    kPersistent
  };

  Kind kind = Kind::kNone;
  int64_t integer = 0;  // kInt, kBool
  double number = 0;    // kFloat
  std::string text;     // kString: UTF-8; kGlobal: "module.name"
  // kTuple, kList: the items. kDict: key, value, key, value, in order.
  // kCall: the global and the tuple of arguments. kPersistent: the id.
  // Values may be shared, and a list or dict may contain itself.
  std::vector<const PickleValue*> items;

  bool IsCallOf(std::string_view global) const {
    return kind == Kind::kCall && items[0]->text == global;
  }
};

// "an integer", "a tuple of 2", "torch.Size(...)": for messages.
std::string DescribePickle(const PickleValue& value);

struct Pickle {
  std::deque<PickleValue> values;  // owns all
  const PickleValue* root = nullptr;
};

// `globals` are those that may appear beside collections.OrderedDict, which
// becomes a kDict; attributes set on one (`_metadata`) are dropped. DataLoss:
// truncated or not a pickle. InvalidArgument: a global that is not among
// `globals`, an opcode or protocol that is not read, named.
absl::StatusOr<Pickle> ReadPickle(const std::string& bytes,
                                  const std::set<std::string>& globals);

}  // namespace modelbatch

#endif  // MODELBATCH_IO_PICKLE_READER_H_
