#ifndef EQUIPOISE_LAUNCHER_CONFIG_CHOICE_WATCH_H_
#define EQUIPOISE_LAUNCHER_CONFIG_CHOICE_WATCH_H_

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "launcher/config/problem.h"
#include "launcher/config/provenance.h"

namespace equipoise::launcher {

// Finds texts that undo what another one chose: of the members of a oneof (the routers) the last
// one written stands, so a text that sets a field of one router silently drops the router that an
// earlier text chose, and the settings it has.
class ChoiceWatch {
 public:
  // Remembers what was chosen by the texts after the first `num_texts_before`; `where` stands for
  // them in a report.
  void Record(const google::protobuf::Message& message, const Provenance& provenance,
              int num_texts_before, const Location& where);
  // Reports every recorded choice that `message` does not have any more; `advice`: what to do.
  void Report(const google::protobuf::Message& message, const std::string& advice,
              ProblemList& problems) const;

 private:
  struct Choice {
    std::string path;  // of the member: "moe.router.lpr"
    Location where;
  };
  std::vector<Choice> choices_;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_CHOICE_WATCH_H_
