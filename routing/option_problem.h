#ifndef EQUIPOISE_ROUTING_OPTION_PROBLEM_H_
#define EQUIPOISE_ROUTING_OPTION_PROBLEM_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace equipoise::routing {

// One thing that cannot be about a router's options, in a form that lets the reader of a
// configuration be told of all of them at once, each with its place.
struct OptionProblem {
  // The option that `what` is about: a setting of the router ("bias.rate"), or, with its place in a
  // configuration, one of RouterOptions ("moe.top_k"). Empty: `what` speaks for itself.
  std::string subject;
  std::vector<std::string> others;  // that make it impossible too
  std::string what;                 // "is 3, must be in (0, 1]"
};

// InvalidArgument, "SUBJECT WHAT", that OptionProblemsOf takes apart again.
absl::Status OptionError(OptionProblem problem);

// The same of a router's own setting, "router `router`: SUBJECT WHAT".
absl::Status OptionError(const std::string& router, OptionProblem problem);

// All of these in one, or OK; begins with "`label`: " unless that is empty. InvalidArgument.
absl::Status JoinErrors(const std::string& label, const std::vector<absl::Status>& statuses);

// What a status tells; its whole message as one problem if it is of another origin, none if OK.
std::vector<OptionProblem> OptionProblemsOf(const absl::Status& status);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_OPTION_PROBLEM_H_
