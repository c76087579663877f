#ifndef EQUIPOISE_CORE_BASE_CHECK_H_
#define EQUIPOISE_CORE_BASE_CHECK_H_

#include <sstream>

namespace equipoise::internal {

// Collects the message of a failed check and aborts the process when it dies. A failed check is a
// bug in Equipoise, never a user's mistake: those are reported as absl::Status.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  [[noreturn]] ~CheckFailure();
  CheckFailure(const CheckFailure&) = delete;
  CheckFailure& operator=(const CheckFailure&) = delete;

  std::ostream& stream() { return message_; }

 private:
  std::ostringstream message_;
};

// Gives both arms of the conditional in EQ_CHECK the type void.
struct Voidify {
  void operator&(std::ostream&) const {}
};

}  // namespace equipoise::internal

// EQ_CHECK(rows >= 0) << "rows=" << rows;  Active in every build.
#define EQ_CHECK(condition)                        \
  (condition) ? (void)0                            \
              : ::equipoise::internal::Voidify() & \
                    ::equipoise::internal::CheckFailure(__FILE__, __LINE__, #condition).stream()

// Comparisons that print both values.
#define EQ_CHECK_OP(a, op, b) EQ_CHECK((a)op(b)) << "(" << (a) << " against " << (b) << ") "
#define EQ_CHECK_EQ(a, b) EQ_CHECK_OP(a, ==, b)
#define EQ_CHECK_NE(a, b) EQ_CHECK_OP(a, !=, b)
#define EQ_CHECK_LE(a, b) EQ_CHECK_OP(a, <=, b)
#define EQ_CHECK_LT(a, b) EQ_CHECK_OP(a, <, b)
#define EQ_CHECK_GE(a, b) EQ_CHECK_OP(a, >=, b)
#define EQ_CHECK_GT(a, b) EQ_CHECK_OP(a, >, b)

#endif  // EQUIPOISE_CORE_BASE_CHECK_H_
