// Options and suppressions of the sanitizers, found by their run-time libraries by name. Compiled
// in rather than given as files, because tests start in folders from where no path to them holds.
// ASAN_OPTIONS, LSAN_OPTIONS, TSAN_OPTIONS and UBSAN_OPTIONS still override the options.
//
// Suppress only what another library does; a report about our own code is a defect.

extern "C" {

const char* __asan_default_options() {
  return "detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1";
}

const char* __lsan_default_options() { return "print_suppressions=0"; }

// The OpenMP run time keeps its thread pool until the process ends.
const char* __lsan_default_suppressions() { return "leak:libgomp\n"; }

// Debian's libraries are not instrumented: the tool sees their memory accesses (through memcpy and
// the like) but not their locks, so it is told to leave their calls alone. Our code must therefore
// synchronise by std::mutex, std::condition_variable and std::atomic, which are compiled here;
// absl::Mutex lives in a library and would hide its ordering from the tool.
const char* __tsan_default_options() {
  return "ignore_noninstrumented_modules=1:history_size=7:second_deadlock_stack=1";
}

const char* __ubsan_default_options() { return "print_stacktrace=1"; }
}
