#include "modelbatch/train/initial_weights.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/batch/weight_file.h"
#include "modelbatch/io/atomic_files.h"
#include "modelbatch/io/safetensors.h"
#include "modelbatch/util/fnv1a.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;

constexpr char kFile[] = "initial.safetensors";
constexpr char kFolder[] = "initial";

absl::Status InFile(const std::string& file, int64_t id,
                    const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(file, ": model ", id, ": ",
                                                  status.message()));
}

absl::StatusOr<std::string> FileOf(const std::string& folder, int64_t id) {
  const std::string stem = absl::StrCat(folder, "/model_", id);
  std::error_code error;
  const bool pytorch = fs::exists(stem + ".pt", error);
  const bool safetensors = fs::exists(stem + ".safetensors", error);
  if (pytorch && safetensors) {
    return absl::InvalidArgumentError(
        absl::StrCat("there are ", stem, ".pt and ", stem,
                     ".safetensors, expected one of them"));
  }
  if (!pytorch && !safetensors) {
    return absl::NotFoundError(absl::StrCat("there is neither ", stem,
                                            ".pt nor ", stem, ".safetensors"));
  }
  return stem + (pytorch ? ".pt" : ".safetensors");
}

bool AllTheSame(const std::vector<InitialWeights>& initial) {
  return std::all_of(initial.begin(), initial.end(), [&](const auto& weights) {
    return weights == initial[0];
  });
}

uint64_t Digest(const Weights& weights) {
  Fnv1a hash;
  for (const auto& [name, tensor] : weights) {
    hash.Add(name.data(), name.size() + 1);
    for (const int64_t size : tensor.shape()) hash.Add(&size, sizeof(size));
    hash.Add(tensor.raw(), static_cast<size_t>(tensor.byte_size()));
  }
  return hash.value();
}

absl::Status Write(const Weights& weights, const std::string& path,
                   AtomicFiles* files) {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : weights) tensors.push_back({name, &tensor});
  return WriteSafetensors(path, tensors, {{"format", "pt"}}, files);
}

}  // namespace

absl::StatusOr<std::vector<InitialWeights>> ReadInitialWeights(
    const std::string& path, const Population& population) {
  std::error_code error;
  std::vector<InitialWeights> initial;
  if (!fs::is_directory(path, error)) {
    MB_ASSIGN_OR_RETURN(Weights weights, ReadWeights(path));
    const auto shared = std::make_shared<const Weights>(std::move(weights));
    for (int i = 0; i < population.size(); ++i) {
      MB_RETURN_IF_ERROR(InFile(path, population.models[i].id,
                                CheckWeights(*shared, population.layouts[i])));
      initial.push_back(shared);
    }
    return initial;
  }
  for (int i = 0; i < population.size(); ++i) {
    const int64_t id = population.models[i].id;
    MB_ASSIGN_OR_RETURN(const std::string file, FileOf(path, id));
    MB_ASSIGN_OR_RETURN(Weights weights, ReadWeights(file));
    MB_RETURN_IF_ERROR(
        InFile(file, id, CheckWeights(weights, population.layouts[i])));
    initial.push_back(std::make_shared<const Weights>(std::move(weights)));
  }
  return initial;
}

uint64_t InitialFingerprint(const Population& population) {
  if (population.initial.empty()) return 0;
  // Models may share one file's.
  std::map<const Weights*, uint64_t> digests;
  Fnv1a hash;
  for (const InitialWeights& weights : population.initial) {
    const auto [it, is_new] = digests.insert({weights.get(), 0});
    if (is_new) it->second = Digest(*weights);
    hash.Add(&it->second, sizeof(it->second));
  }
  return hash.value();
}

absl::StatusOr<std::string> CopyInitialWeights(const Population& population,
                                               const std::string& folder) {
  if (population.initial.empty()) return std::string();
  if (AllTheSame(population.initial)) {
    MB_RETURN_IF_ERROR(Write(*population.initial[0],
                             absl::StrCat(folder, "/", kFile),
                             /*files=*/nullptr));
    return std::string(kFile);
  }
  const std::string copies = absl::StrCat(folder, "/", kFolder);
  std::error_code error;
  fs::create_directories(copies, error);
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot create the folder ", copies, ": ", error.message()));
  }
  MB_ASSIGN_OR_RETURN(AtomicFiles files, AtomicFiles::Create(copies));
  for (int i = 0; i < population.size(); ++i) {
    MB_RETURN_IF_ERROR(
        Write(*population.initial[i],
              absl::StrCat(copies, "/model_", population.models[i].id,
                           ".safetensors"),
              &files));
  }
  MB_RETURN_IF_ERROR(files.Commit());
  return std::string(kFolder);
}

absl::Status CheckNoInitialWeights(const std::string& folder) {
  std::error_code error;
  for (const char* name : {kFile, kFolder}) {
    const std::string path = absl::StrCat(folder, "/", name);
    if (!fs::exists(path, error)) continue;
    return absl::AlreadyExistsError(
        absl::StrCat(path,
                     " is there already, where a run keeps the weights it "
                     "starts from; choose another folder with --output"));
  }
  return absl::OkStatus();
}

void RemoveInitialWeights(const std::string& folder) {
  std::error_code ignored;
  fs::remove(absl::StrCat(folder, "/", kFile), ignored);
  fs::remove_all(absl::StrCat(folder, "/", kFolder), ignored);
}

}  // namespace modelbatch
