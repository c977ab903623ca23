#include "modelbatch/plugin/search.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "modelbatch/util/test_folder.h"

namespace modelbatch {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SearchTest : public testing::Test {
 protected:
  SearchTest() : root_(fs::path(TestFolder()) / "search_test") {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }

  std::string Path(const std::string& relative) const {
    return (root_ / relative).string();
  }

  // Creates an empty file; its path.
  std::string Touch(const std::string& relative) {
    fs::create_directories((root_ / relative).parent_path());
    std::ofstream(root_ / relative).put('x');
    return Path(relative);
  }

  const fs::path root_;
};

TEST_F(SearchTest, TheStatedFoldersInTheStatedOrder) {
  SearchEnvironment environment;
  environment.executable = "/opt/mb/bin/train";
  environment.plugin_path = "/a:/b/c";
  environment.runfiles_dir = "/run";
  environment.test_srcdir = "/test";
  environment.workspace = "/home/me/project";
  EXPECT_THAT(PluginFolders(environment),
              ElementsAre("/a", "/b/c", "/opt/mb/bin/plugins",
                          "/opt/mb/bin/train.runfiles/modelbatch/plugins",
                          "/run/modelbatch/plugins", "/test/modelbatch/plugins",
                          "/home/me/project/bazel-bin/plugins",
                          "/opt/mb/lib/modelbatch/plugins"));
}

TEST_F(SearchTest, UnsetVariablesAndEmptyEntriesAreNoFolders) {
  SearchEnvironment environment;
  environment.executable = "/opt/mb/bin/train";
  environment.plugin_path = ":/a::/a:";
  EXPECT_THAT(PluginFolders(environment),
              ElementsAre("/a", "/opt/mb/bin/plugins",
                          "/opt/mb/bin/train.runfiles/modelbatch/plugins",
                          "/opt/mb/lib/modelbatch/plugins"));
  EXPECT_THAT(PluginFolders(SearchEnvironment()), IsEmpty());
}

TEST_F(SearchTest, FindsAFileInAFolderAndInItsOwnFolder) {
  const std::string flat = Touch("a/libmodelbatch_flat.so");
  const std::string own = Touch("a/own/libmodelbatch_own.so");
  SearchEnvironment environment;
  environment.plugin_path = Path("a");
  EXPECT_EQ(FindPlugin("flat", environment).value(), flat);
  EXPECT_EQ(FindPlugin("own", environment).value(), own);
}

TEST_F(SearchTest, TheFirstFolderWins) {
  Touch("b/libmodelbatch_x.so");
  const std::string first = Touch("a/x/libmodelbatch_x.so");
  SearchEnvironment environment;
  environment.plugin_path = Path("a") + ":" + Path("b");
  EXPECT_EQ(FindPlugin("x", environment).value(), first);
  const std::string flat = Touch("a/libmodelbatch_x.so");
  EXPECT_EQ(FindPlugin("x", environment).value(), flat);
}

TEST_F(SearchTest, NotFoundTellsFoldersBackendsAndRemedy) {
  Touch("a/libmodelbatch_near.so");
  SearchEnvironment environment;
  environment.plugin_path = Path("a") + ":" + Path("nowhere");
  const auto found = FindPlugin("far", environment);
  EXPECT_EQ(found.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(found.status().message()),
              AllOf(HasSubstr("\"far\""), HasSubstr("libmodelbatch_far.so"),
                    HasSubstr(Path("a")), HasSubstr(Path("nowhere")),
                    HasSubstr("near"), HasSubstr("MODELBATCH_PLUGIN_PATH")));
}

TEST_F(SearchTest, ANameIsNoPath) {
  EXPECT_EQ(FindPlugin("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FindPlugin("../cpu").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(SearchTest, ListsWhatWouldBeFound) {
  const std::string one = Touch("a/libmodelbatch_one.so");
  const std::string two = Touch("a/two/libmodelbatch_two.so");
  Touch("b/libmodelbatch_two.so");
  Touch("b/libother_three.so");
  Touch("b/libmodelbatch_four.txt");
  Touch("b/libmodelbatch_.so");
  fs::create_directories(root_ / "b" / "libmodelbatch_folder.so");
  SearchEnvironment environment;
  environment.plugin_path = Path("a") + ":" + Path("b") + ":" + Path("none");
  const std::vector<FoundPlugin> found = ListPlugins(environment);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].name, "one");
  EXPECT_EQ(found[0].path, one);
  EXPECT_EQ(found[1].name, "two");
  EXPECT_EQ(found[1].path, two);
}

TEST_F(SearchTest, KnowsThisExecutable) {
  EXPECT_THAT(SearchEnvironment::Current().executable,
              HasSubstr("search_test"));
}

}  // namespace
}  // namespace modelbatch
