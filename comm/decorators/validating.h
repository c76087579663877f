#ifndef EQUIPOISE_COMM_DECORATORS_VALIDATING_H_
#define EQUIPOISE_COMM_DECORATORS_VALIDATING_H_

#include <memory>

#include "comm/communicator.h"

namespace equipoise::comm {

// Checks before every collective that all ranks call the same verb with arguments that fit
// together: type, size, root, operation, and for all-to-all that what i sends to j is what j
// expects from i. A mismatch gives InvalidArgument on every rank, naming two ranks and what each
// called, where a bare transport would hang or corrupt memory. An assertion that communicates: one
// or two small collectives more per call, and the calls no longer overlap. For tests and debugging.
//
// `context` serves splits and must outlive the communicator; so must a borrowed `inner`.
std::unique_ptr<Communicator> MakeValidating(Communicator& inner, const Context& context);
std::unique_ptr<Communicator> MakeValidating(std::unique_ptr<Communicator> inner,
                                             const Context& context);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_DECORATORS_VALIDATING_H_
