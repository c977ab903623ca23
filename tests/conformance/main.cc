// Runs the conformance suite on one plugin: --plugin=<path of the .so>.
#include <cstdio>
#include <cstring>
#include <string>

#include "gtest/gtest.h"
#include "tests/conformance/plugin_under_test.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  constexpr char kFlag[] = "--plugin=";
  std::string path;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], kFlag, sizeof(kFlag) - 1) != 0) {
      std::fprintf(stderr, "unknown argument %s; usage: --plugin=<path>\n",
                   argv[i]);
      return 2;
    }
    path = argv[i] + sizeof(kFlag) - 1;
  }
  if (path.empty()) {
    std::fprintf(stderr, "usage: --plugin=<path of the plugin's .so>\n");
    return 2;
  }
  const absl::Status status =
      modelbatch::conformance::LoadPluginUnderTest(path);
  if (!status.ok()) {
    std::fprintf(stderr, "FAILED: %s\n", status.ToString().c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
