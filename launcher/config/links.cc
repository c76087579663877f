#include "launcher/config/links.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "launcher/config/text_file.h"

namespace equipoise::launcher {
namespace {

absl::StatusOr<comm::LinkModel> ReadFile(const std::string& path) {
  EQ_ASSIGN_OR_RETURN(const std::string text, ReadConfigText(path));
  EQ_ASSIGN_OR_RETURN(const comm::LinkModel links, comm::LinksFromText(text));
  if (links.empty()) {
    return absl::InvalidArgumentError("it has no line that says what a link costs");
  }
  return links;
}

}  // namespace

absl::StatusOr<comm::LinkModel> ReadLinks(const config::Links& links) {
  comm::LinkModel result;
  if (!links.file().empty()) {
    const absl::StatusOr<comm::LinkModel> read = ReadFile(links.file());
    if (!read.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the links' file ", links.file(), ": ", read.status().message(),
                       ". `mpirun ... equipoise info --links=FILE` writes such a file"));
    }
    result = *read;
  }
  const auto set = [&](comm::LinkClass link, const config::Link& from) {
    if (from.latency() > 0.0) result[link] = {from.latency(), from.seconds_per_byte()};
  };
  set(comm::LinkClass::kSelf, links.self());
  set(comm::LinkClass::kNode, links.node());
  set(comm::LinkClass::kRemote, links.remote());
  set(comm::LinkClass::kFar, links.far());
  return result;
}

}  // namespace equipoise::launcher
