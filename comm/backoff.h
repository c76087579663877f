#ifndef EQUIPOISE_COMM_BACKOFF_H_
#define EQUIPOISE_COMM_BACKOFF_H_

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace equipoise::comm {

// How a rank that polls spends its time between polls. Ranks may outnumber cores, and then a rank
// that spins keeps the core from the one it waits for: after a moment it yields, and after a while
// it sleeps. One per wait.
class Backoff {
 public:
  // `waited`: since the wait began.
  void Pause(std::chrono::steady_clock::duration waited) {
    if (waited < kSpin) return;
    if (waited < kYield) {
      sched_yield();
      return;
    }
    std::this_thread::sleep_for(sleep_);
    sleep_ = std::min(sleep_ * 2, kLongestSleep);
  }

 private:
  static constexpr std::chrono::microseconds kSpin{10};
  static constexpr std::chrono::microseconds kYield{20000};
  static constexpr std::chrono::microseconds kLongestSleep{200};
  std::chrono::microseconds sleep_{50};
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKOFF_H_
