// A folder for a test's files: the one Bazel gives each test of its own
// (testing::TempDir() of this GoogleTest is /tmp, shared by all).
#ifndef MODELBATCH_UTIL_TEST_FOLDER_H_
#define MODELBATCH_UTIL_TEST_FOLDER_H_

#include <cstdlib>
#include <string>

#include "gtest/gtest.h"

namespace modelbatch {

inline std::string TestFolder() {
  const char* folder = std::getenv("TEST_TMPDIR");
  return folder == nullptr ? testing::TempDir() : folder;
}

}  // namespace modelbatch

#endif  // MODELBATCH_UTIL_TEST_FOLDER_H_
