// Every plugin that is not as it should be gives a Status with the right code,
// the file and the reason, and never takes the program down.
#include "modelbatch/plugin/loader.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/plugin.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string PluginFile(const std::string& name) {
  return std::string(std::getenv("TEST_SRCDIR")) +
         "/modelbatch/tests/abi/libmodelbatch_" + name + ".so";
}

std::string Message(const absl::Status& status) {
  return std::string(status.message());
}

struct Defect {
  const char* name;
  absl::StatusCode code;
  const char* reason;
};

// So that a failing test names its case.
void PrintTo(const Defect& defect, std::ostream* out) { *out << defect.name; }

class DoesNotLoad : public testing::TestWithParam<Defect> {};

TEST_P(DoesNotLoad, NamesTheFileAndTheReason) {
  // Twice: a failed load must not be taken for a loaded plugin.
  for (int i = 0; i < 2; ++i) {
    const auto plugin = LoadPlugin(PluginFile(GetParam().name));
    ASSERT_FALSE(plugin.ok());
    EXPECT_EQ(plugin.status().code(), GetParam().code) << plugin.status();
    EXPECT_THAT(
        Message(plugin.status()),
        AllOf(HasSubstr("libmodelbatch_" + std::string(GetParam().name)),
              HasSubstr(GetParam().reason)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, DoesNotLoad,
    testing::Values(
        Defect{"missing_symbol", absl::StatusCode::kInvalidArgument,
               "does not export MB_GetPluginApi"},
        Defect{"null_api", absl::StatusCode::kInternal, "returned NULL"},
        Defect{
            "wrong_major", absl::StatusCode::kFailedPrecondition,
            "built for plugin ABI 2.1, and this program takes plugins of ABI "
            "1.x: use a newer ModelBatch"},
        Defect{
            "abi_0_2", absl::StatusCode::kFailedPrecondition,
            "built for plugin ABI 0.2, and this program takes plugins of ABI "
            "1.x: build the plugin with this version of ModelBatch"},
        Defect{"tiny_struct", absl::StatusCode::kInternal,
               "struct_size of its MB_PluginApi is 23, expected at least 240"},
        Defect{"short_struct", absl::StatusCode::kInternal,
               "struct_size of its MB_PluginApi is 232, expected at least 240"},
        Defect{"null_required", absl::StatusCode::kInternal,
               "session_train_step is NULL"},
        Defect{"null_name", absl::StatusCode::kInternal, "name is NULL"},
        Defect{"empty_name", absl::StatusCode::kInternal, "name is empty"},
        Defect{"malformed_name", absl::StatusCode::kInternal,
               "name is \"../Minimal\""},
        Defect{"null_version", absl::StatusCode::kInternal, "version is NULL"},
        Defect{"empty_build_id", absl::StatusCode::kInternal,
               "build_id is empty"},
        Defect{"null_sanitizer", absl::StatusCode::kInternal,
               "sanitizer is NULL"}),
    [](const auto& info) { return info.param.name; });

TEST(Loader, NoSuchFile) {
  const auto plugin = LoadPlugin("/no/such/libmodelbatch_x.so");
  EXPECT_EQ(plugin.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(plugin.status()),
              HasSubstr("/no/such/libmodelbatch_x.so"));
}

TEST(Loader, ATextFileAFolderAndAnEmptyFileAreNoLibraries) {
  const fs::path folder = fs::path(TestFolder()) / "no_library";
  fs::create_directories(folder / "folder.so");
  std::ofstream(folder / "text.so") << "this is not a library\n";
  std::ofstream(folder / "empty.so").flush();
  for (const char* name : {"text.so", "empty.so", "folder.so"}) {
    SCOPED_TRACE(name);
    const auto plugin = LoadPlugin((folder / name).string());
    EXPECT_EQ(plugin.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(plugin.status()), HasSubstr(name));
  }
}

TEST(Loader, ATruncatedLibraryIsTheSystemsError) {
  const fs::path path = fs::path(TestFolder()) / "libmodelbatch_truncated.so";
  fs::copy_file(PluginFile("minimal"), path,
                fs::copy_options::overwrite_existing);
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  fs::resize_file(path, 100);
  const auto plugin = LoadPlugin(path.string());
  EXPECT_EQ(plugin.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(plugin.status()), HasSubstr("truncated"));
}

TEST(Loader, AMissingDependencyIsNamed) {
  // Alone, away from the library it needs.
  const fs::path path =
      fs::path(TestFolder()) / "alone" / "libmodelbatch_needs_absent.so";
  fs::create_directories(path.parent_path());
  fs::copy_file(PluginFile("needs_absent"), path,
                fs::copy_options::overwrite_existing);
  const auto plugin = LoadPlugin(path.string());
  EXPECT_EQ(plugin.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(plugin.status()),
              AllOf(HasSubstr("libmodelbatch_needs_absent.so"),
                    HasSubstr("absent.so")));
}

TEST(Loader, DescribesThePlugin) {
  const auto plugin = LoadPlugin(PluginFile("minimal"));
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  EXPECT_EQ((*plugin)->name(), "minimal");
  EXPECT_EQ((*plugin)->version(), "1.2.3");
  EXPECT_EQ((*plugin)->build_id(), "made by hand");
  EXPECT_EQ((*plugin)->sanitizer(), "");
  EXPECT_EQ((*plugin)->path(), fs::canonical(PluginFile("minimal")).string());
  const auto probe = (*plugin)->Probe();
  ASSERT_TRUE(probe.ok()) << probe.status();
  EXPECT_EQ(probe->score, 1);
  EXPECT_EQ(probe->device, "none");
  EXPECT_EQ(probe->reason, "for tests");
}

TEST(Loader, TheSameFileIsLoadedOnceUnderEveryName) {
  const fs::path link = fs::path(TestFolder()) / "link.so";
  fs::remove(link);
  fs::create_symlink(PluginFile("minimal"), link);
  const auto first = LoadPlugin(PluginFile("minimal"));
  const auto second = LoadPlugin(link.string());
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->get(), second->get());
}

TEST(Loader, ANewerAndLargerTableIsAccepted) {
  const auto plugin = LoadPlugin(PluginFile("longer_struct"));
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  EXPECT_TRUE((*plugin)->CreateBackend().ok());
}

// Of the same major version; what it has beyond this one's fields is not read.
TEST(Loader, ALaterMinorIsAccepted) {
  const auto plugin = LoadPlugin(PluginFile("later_minor"));
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  EXPECT_EQ((*plugin)->abi(), "1.99");
}

// Built with the header of 1.0. A read beyond the end of its table crashes.
TEST(Loader, TheFirstMinorIsAccepted) {
  const auto plugin = LoadPlugin(PluginFile("abi_1_0"));
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  EXPECT_EQ((*plugin)->abi(), "1.0");
}

// Built with a header whose structs have all grown.
TEST(Loader, ThePluginOfANextMinorIsAccepted) {
  const auto plugin = LoadPlugin(PluginFile("abi_1_2"));
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  EXPECT_EQ((*plugin)->abi(), "1.2");
}

TEST(Loader, ByNameTheFileMustHoldThatBackend) {
  // libmodelbatch_longer_struct.so says it is "minimal".
  setenv("MODELBATCH_PLUGIN_PATH",
         fs::path(PluginFile("minimal")).parent_path().c_str(), 1);
  EXPECT_TRUE(OpenPlugin("minimal").ok());
  EXPECT_TRUE(CreateBackend("minimal").ok());
  const auto other = OpenPlugin("longer_struct");
  EXPECT_EQ(other.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(other.status()),
              AllOf(HasSubstr("longer_struct"), HasSubstr("\"minimal\"")));
  EXPECT_TRUE(OpenPlugin(PluginFile("longer_struct")).ok());
  EXPECT_EQ(OpenPlugin("nowhere").status().code(), absl::StatusCode::kNotFound);
}

std::vector<ModelInstance> TwoModels() {
  ModelInstance model{0, 0, ModelSpec({3})};
  model.spec.Linear(2);
  return {model, model};
}

absl::StatusOr<std::unique_ptr<Backend>> Create(const std::string& name) {
  const auto plugin = LoadPlugin(PluginFile(name));
  if (!plugin.ok()) return plugin.status();
  return (*plugin)->CreateBackend();
}

// How far a host gets with a plugin before it finds the defect.
absl::Status Use(const std::string& name) {
  const auto plugin = LoadPlugin(PluginFile(name));
  if (!plugin.ok()) return plugin.status();
  if (const auto probe = (*plugin)->Probe(); !probe.ok()) {
    return probe.status();
  }
  auto backend = (*plugin)->CreateBackend();
  if (!backend.ok()) return backend.status();
  auto session = (*backend)->Compile({TwoModels(), {"mse", {}}, 1, {}});
  if (!session.ok()) return session.status();
  auto dataset = (*backend)->CreateDataset(
      Tensor::Zeros(DType::kFloat32, {4, 3}), Tensor());
  if (!dataset.ok()) return dataset.status();
  StepRequest request;
  request.dataset = dataset->get();
  StepResult result;
  const absl::Status stepped = (*session)->TrainStep(request, &result);
  if (!stepped.ok()) return stepped;
  return (*session)->Stats().status();
}

class BreaksTheAbi : public testing::TestWithParam<Defect> {};

TEST_P(BreaksTheAbi, IsAnErrorOfTheCall) {
  const absl::Status status = Use(GetParam().name);
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_THAT(Message(status), HasSubstr(GetParam().reason));
  EXPECT_THAT(Message(status), HasSubstr("minimal"));  // the plugin's name
}

INSTANTIATE_TEST_SUITE_P(
    All, BreaksTheAbi,
    testing::Values(
        Defect{"null_reason", absl::StatusCode::kInternal, "reason is NULL"},
        Defect{"negative_score", absl::StatusCode::kInternal,
               "score is negative"},
        Defect{"null_message", absl::StatusCode::kUnavailable,
               "without a message"},
        Defect{"code_zero", absl::StatusCode::kInternal, "all is well"},
        Defect{"unknown_code", absl::StatusCode::kUnknown, "code 99: too new"},
        Defect{"null_backend", absl::StatusCode::kInternal, "backend is NULL"},
        Defect{"null_capabilities", absl::StatusCode::kInternal,
               "losses is NULL"},
        Defect{"null_session", absl::StatusCode::kInternal, "session is NULL"},
        Defect{"null_dataset", absl::StatusCode::kInternal, "dataset is NULL"},
        Defect{"bad_outcome", absl::StatusCode::kInternal, "outcomes[0] is 5"},
        Defect{"no_outcome", absl::StatusCode::kInternal, "outcomes[0] is 255"},
        Defect{"null_plan", absl::StatusCode::kInternal, "plan is NULL"},
        // The whole way; what it lacks is the last call, which is optional.
        Defect{"minimal", absl::StatusCode::kUnimplemented, "session_stats"},
        Defect{"abi_1_0", absl::StatusCode::kUnimplemented, "session_stats"},
        Defect{"abi_1_2", absl::StatusCode::kUnimplemented, "session_stats"},
        Defect{"later_minor", absl::StatusCode::kUnimplemented,
               "session_stats"}),
    [](const auto& info) { return info.param.name; });

TEST(OptionalCalls, ThatAreNullAreUnimplemented) {
  auto backend = Create("minimal");
  ASSERT_TRUE(backend.ok()) << backend.status();
  auto session = (*backend)->Compile({TwoModels(), {"mse", {}}, 1, {}});
  ASSERT_TRUE(session.ok()) << session.status();
  auto dataset = (*backend)->CreateDataset(
      Tensor::Zeros(DType::kFloat32, {4, 3}), Tensor());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const absl::Status describe = (*session)->Describe(0).status();
  EXPECT_EQ(describe.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Message(describe), HasSubstr("session_describe"));
  const absl::Status tune = (*session)->Tune({}).status();
  EXPECT_EQ(tune.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Message(tune), HasSubstr("session_tune"));
  std::vector<Outcome> outcomes;
  const std::vector<Tensor> gradients(2);
  const absl::Status backward = (*session)->Backward(
      {dataset->get(), RowSet(), {}, gradients}, &outcomes);
  EXPECT_EQ(backward.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Message(backward), HasSubstr("session_backward"));
  const absl::Status update = (*session)->Update({}, &outcomes);
  EXPECT_EQ(update.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Message(update), HasSubstr("session_update"));
  const absl::Status zero_grad = (*session)->ZeroGrad(false);
  EXPECT_EQ(zero_grad.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Message(zero_grad), HasSubstr("session_zero_grad"));
}

}  // namespace
}  // namespace modelbatch
