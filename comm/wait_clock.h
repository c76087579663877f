#ifndef EQUIPOISE_COMM_WAIT_CLOCK_H_
#define EQUIPOISE_COMM_WAIT_CLOCK_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "comm/work.h"

namespace equipoise::comm {

// One operation, as messages name it: "AllReduce #17 on 'expert', rank 1 of 4".
struct OpLabel {
  const char* verb = "";
  // Collectives of one communicator are numbered from 0, alike on every rank.
  uint64_t sequence = 0;
  std::string communicator;
  int rank = 0;
  int size = 1;
  // Of the operation's world.
  Patience patience = {};

  std::string ToString() const;
};

// The clock of one blocking wait, shared by the backends so that their messages read alike: warns
// once on stderr, then gives up. Used by one thread; borrows what it is given.
class WaitClock {
 public:
  // Says who is missing, for example "ranks that have not entered it: 2, 5". Only asked when a
  // message is written.
  using DescribeMissing = std::function<std::string()>;

  WaitClock(const WaitOptions& options, const OpLabel& label);

  // OK while there is time left, else DeadlineExceeded with what, who, how long and who is missing.
  absl::Status Check(const DescribeMissing& missing);
  // How long until Check() will next have something to say; at least a millisecond.
  std::chrono::milliseconds UntilNextEvent() const;
  std::chrono::steady_clock::duration elapsed() const {
    return std::chrono::steady_clock::now() - start_;
  }

 private:
  const WaitOptions& options_;
  const OpLabel& label_;
  const absl::Duration warn_after_;
  const absl::Duration stop_after_;
  const std::chrono::steady_clock::time_point start_;
  bool warned_ = false;
};

// "ranks that have not entered it: 2, 5"; `unknown` are ranks whose progress cannot be seen.
std::string DescribeMissingRanks(const std::vector<int>& missing, const std::vector<int>& unknown);

// One line on stderr, in one write. For waits and destructors, which have no Logger. A negative
// `rank` is left out.
void ReportToStderr(char level, int rank, const std::string& text);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_WAIT_CLOCK_H_
