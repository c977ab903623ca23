// Reads NumPy's files: NPY (numpy.save; versions 1, 2 and 3) and NPZ
// (numpy.savez and savez_compressed).
//
//   MB_ASSIGN_OR_RETURN(NumericArray x, ReadNpy("x.npy"));
//   MB_ASSIGN_OR_RETURN(std::vector<NumericArray> arrays,
//                       ReadNpz("digits.npz", {"x", "y"}));
//
// float32, float64, integers and booleans, of either byte order and either
// memory order. Nothing in a file is executed.
#ifndef MODELBATCH_DATA_NPY_READER_H_
#define MODELBATCH_DATA_NPY_READER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "modelbatch/data/numeric_array.h"

namespace modelbatch {

// NotFound: no file. DataLoss: no NPY file, truncated, bytes too many.
// Unimplemented: another version or dtype (objects, structures, float16,
// complex, text), named.
absl::StatusOr<NumericArray> ReadNpy(const std::string& path);

// The same for bytes; `name` is for messages.
absl::StatusOr<NumericArray> ParseNpy(std::string bytes,
                                      const std::string& name);

// The arrays of these names, in this order. InvalidArgument lists what the
// archive has when it lacks one.
absl::StatusOr<std::vector<NumericArray>> ReadNpz(
    const std::string& path, const std::vector<std::string>& names);

// The names of the arrays in an archive, in its order.
absl::StatusOr<std::vector<std::string>> NpzNames(const std::string& path);

}  // namespace modelbatch

#endif  // MODELBATCH_DATA_NPY_READER_H_
