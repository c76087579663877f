#ifndef EQUIPOISE_COMM_DECORATORS_FAULTY_H_
#define EQUIPOISE_COMM_DECORATORS_FAULTY_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "comm/communicator.h"
#include "comm/verb.h"

namespace equipoise::comm {

// What goes wrong on this rank, and when.
struct Fault {
  enum class Kind : uint8_t {
    kFail,   // the call returns `error` without entering the collective
    kDelay,  // the call sleeps for `delay` before it enters
    kDrop,   // the call never enters; its Work is never complete and times out
  };
  Kind kind = Kind::kFail;
  // The fault hits the call with this number, from 0, among the calls of `verb` (of all verbs
  // when absent). Splits are not counted.
  int64_t call = 0;
  std::optional<Verb> verb = std::nullopt;
  absl::Duration delay = absl::ZeroDuration();
  absl::Status error = absl::UnavailableError("injected fault");
};

// Injects one fault into the collectives of `inner`, counted over it and the groups split from it.
// For tests of whatever must survive, or report, a rank that misbehaves.
std::unique_ptr<Communicator> MakeFaulty(Communicator& inner, const Fault& fault);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_DECORATORS_FAULTY_H_
