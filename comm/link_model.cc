#include "comm/link_model.h"

#include <cmath>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

constexpr std::array<LinkClass, kNumLinkClasses> kClasses = {LinkClass::kSelf, LinkClass::kNode,
                                                             LinkClass::kRemote};
// A minute a message, or a byte: beyond any network.
constexpr double kMostSeconds = 60.0;

absl::Status ReadLine(const std::vector<absl::string_view>& words, LinkModel& links) {
  if (words.size() != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", words.size(),
                     " words, not a link's name, its seconds a message and its seconds a byte"));
  }
  for (const LinkClass link : kClasses) {
    if (words[0] != Name(link)) continue;
    if (links[link].known()) {
      return absl::InvalidArgumentError(absl::StrCat("names '", words[0], "' a second time"));
    }
    double numbers[2];
    for (size_t i = 0; i < 2; ++i) {
      if (absl::SimpleAtod(words[i + 1], &numbers[i]) && numbers[i] > 0.0 &&
          numbers[i] <= kMostSeconds) {
        continue;
      }
      return absl::InvalidArgumentError(absl::StrCat(
          "has '", words[i + 1], "' where seconds should be: above 0, up to ", kMostSeconds));
    }
    links[link] = {.latency = numbers[0], .seconds_per_byte = numbers[1]};
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("names a link '", words[0], "': there are self, node and remote"));
}

std::string Rate(double bytes_per_second) {
  if (bytes_per_second >= 1e9) return absl::StrFormat("%.1f GB/s", bytes_per_second * 1e-9);
  if (bytes_per_second >= 1e6) return absl::StrFormat("%.0f MB/s", bytes_per_second * 1e-6);
  return absl::StrFormat("%.0f kB/s", bytes_per_second * 1e-3);
}

}  // namespace

absl::string_view Name(LinkClass link) {
  constexpr std::array<absl::string_view, kNumLinkClasses> kNames = {"self", "node", "remote"};
  return kNames[static_cast<size_t>(link)];
}

bool LinkModel::Covers(const Topology& topology) const {
  if (topology.num_ranks() == 1) return true;
  const bool has_mates = topology.num_nodes() < topology.num_ranks();
  return (*this)[LinkClass::kSelf].known() && (!has_mates || (*this)[LinkClass::kNode].known()) &&
         (topology.num_nodes() == 1 || (*this)[LinkClass::kRemote].known());
}

std::string LinksToText(const LinkModel& links) {
  std::string text = "# Links between ranks: class, seconds a message, seconds a byte\n";
  for (const LinkClass link : kClasses) {
    if (!links[link].known()) continue;
    absl::StrAppendFormat(&text, "%s %.9g %.9g\n", Name(link), links[link].latency,
                          links[link].seconds_per_byte);
  }
  return text;
}

absl::StatusOr<LinkModel> LinksFromText(absl::string_view text) {
  LinkModel links;
  int number = 0;
  for (const absl::string_view whole : absl::StrSplit(text, '\n')) {
    ++number;
    const absl::string_view line = whole.substr(0, whole.find('#'));
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty()) continue;
    const absl::Status status = ReadLine(words, links);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, " ", status.message()));
    }
  }
  return links;
}

std::string Describe(const LinkModel& links) {
  std::string text;
  for (const LinkClass link : kClasses) {
    if (!links[link].known()) continue;
    absl::StrAppendFormat(&text, "%s%s %.3g us, %s", text.empty() ? "" : "; ", Name(link),
                          links[link].latency * 1e6, Rate(1.0 / links[link].seconds_per_byte));
  }
  return text.empty() ? "none" : text;
}

}  // namespace equipoise::comm
