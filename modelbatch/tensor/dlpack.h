// Tensors to and from DLPack's structs, as modelbatch/plugin/c_api.h declares
// them: how data crosses the plugin boundary without a copy.
//
//   MB_DLManagedTensor* managed = TensorToDLPack(std::move(features));
//   absl::StatusOr<Tensor> tensor = TensorFromDLPack(managed, "features");
#ifndef MODELBATCH_TENSOR_DLPACK_H_
#define MODELBATCH_TENSOR_DLPACK_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "modelbatch/plugin/c_api.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// DLPack's code for a dtype, and back. InvalidArgument begins with `name`.
MB_DLDataType ToDLDataType(DType dtype);
absl::StatusOr<DType> ToDType(const MB_DLDataType& type, std::string_view name);

// Takes `managed`, whatever is returned: its deleter is called exactly once,
// when the last Tensor that shares the memory is gone, or before this returns
// if it fails or had to copy. Memory that is not compact, row-major and aligned
// is copied. A read-only tensor is shared as well: treat it as const.
//
// InvalidArgument begins with `name` and says what was expected: CPU memory,
// one of our dtypes, one lane, sizes that are not negative and fit, data where
// there are elements, DLPack version 1.
absl::StatusOr<Tensor> TensorFromDLPack(MB_DLManagedTensor* managed,
                                        std::string_view name);

// A Tensor on the caller's memory, which must outlive it. The same errors, and
// one for memory that is not compact, row-major and aligned.
absl::StatusOr<Tensor> BorrowDLTensor(const MB_DLTensor& tensor,
                                      std::string_view name);

// Shares the tensor's memory until the result's deleter is called, once, from
// any thread. Never null.
MB_DLManagedTensor* TensorToDLPack(Tensor tensor);

// `tensor` as a DLTensor without ownership: `tensor` must outlive the result
// and keep its shape.
MB_DLTensor ViewAsDLTensor(const Tensor& tensor);

}  // namespace modelbatch

#endif  // MODELBATCH_TENSOR_DLPACK_H_
