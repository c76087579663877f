#ifndef EQUIPOISE_TESTS_CORE_DATA_TEST_FILES_H_
#define EQUIPOISE_TESTS_CORE_DATA_TEST_FILES_H_

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace equipoise::testing {

// A new folder of the running test; what is written there stays for a look after a failure.
inline std::string TestFolder() {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string path =
      ::testing::TempDir() + info->test_suite_name() + "." + info->name() + "/";
  mkdir(path.c_str(), 0755);
  return path;
}

inline void WriteText(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary).write(text.data(), text.size());
}

inline std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Asserts the code and that every part is in the message.
inline void ExpectError(const absl::Status& status, absl::StatusCode code,
                        const std::vector<std::string>& parts) {
  EXPECT_EQ(status.code(), code) << status;
  for (const std::string& part : parts) {
    EXPECT_NE(std::string(status.message()).find(part), std::string::npos)
        << "'" << part << "' is not in: " << status;
  }
}

}  // namespace equipoise::testing

#define EQ_ASSERT_OK(expr)                             \
  do {                                                 \
    const ::absl::Status& eq_ok = (expr);              \
    ASSERT_TRUE(eq_ok.ok()) << #expr << ": " << eq_ok; \
  } while (false)

#endif  // EQUIPOISE_TESTS_CORE_DATA_TEST_FILES_H_
