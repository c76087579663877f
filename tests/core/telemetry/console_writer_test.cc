#include "core/telemetry/console_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "absl/time/clock.h"

namespace equipoise {
namespace {

class ConsoleWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    ASSERT_EQ(::pipe(ends_), 0);
    out_ = ::fdopen(ends_[1], "w");
  }
  void TearDown() override {
    std::fclose(out_);
    if (ends_[0] >= 0) ::close(ends_[0]);
  }
  std::string Read() {
    std::string text(size_t{1} << 20, '\0');
    text.resize(static_cast<size_t>(::read(ends_[0], text.data(), text.size())));
    return text;
  }

  int ends_[2] = {-1, -1};
  std::FILE* out_ = nullptr;
};

TEST_F(ConsoleWriterTest, WritesAtOnce) {
  ConsoleWriter writer(out_);
  writer.Write("one\n");
  writer.Write("two\n");
  EXPECT_EQ(Read(), "one\ntwo\n");
}

TEST_F(ConsoleWriterTest, AFullPipeHoldsNobodyUp) {
  ConsoleWriter writer(out_);
  const absl::Time start = absl::Now();
  for (int line = 0; line < 100'000; ++line)
    writer.Write("a line of forty bytes, or close to it..\n");
  EXPECT_LT(absl::Now() - start, absl::Seconds(30)) << "one wait, not one for each line";
  EXPECT_GE(Read().size(), 4096U);
  writer.Write("late\n");
  EXPECT_EQ(Read(), "late\n");
}

TEST_F(ConsoleWriterTest, AReaderThatIsGoneSilencesIt) {
  ConsoleWriter writer(out_);
  ::close(ends_[0]);
  ends_[0] = -1;
  for (int line = 0; line < 3; ++line) writer.Write("nobody hears\n");
}

TEST(ConsoleWriterToNothingTest, IsSilent) { ConsoleWriter(nullptr).Write("x"); }

}  // namespace
}  // namespace equipoise
