#include "comm/link_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

constexpr std::array<LinkClass, kNumLinkClasses> kClasses = {LinkClass::kSelf, LinkClass::kNode,
                                                             LinkClass::kRemote, LinkClass::kFar};
// A minute a message, or a byte: beyond any network.
constexpr double kMostSeconds = 60.0;

// Seconds a message, and a byte: one rate, or one of each size.
absl::Status ReadNumbers(absl::Span<const absl::string_view> words, Link& link) {
  std::vector<double> numbers(words.size());
  for (size_t i = 0; i < words.size(); ++i) {
    if (absl::SimpleAtod(words[i], &numbers[i]) && numbers[i] > 0.0 && numbers[i] <= kMostSeconds) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "has '", words[i], "' where seconds should be: above 0, up to ", kMostSeconds));
  }
  link = Link(numbers[0], numbers[1]);
  if (numbers.size() > 2) {
    std::copy(numbers.begin() + 1, numbers.end(), link.seconds_per_byte.begin());
  }
  return absl::OkStatus();
}

absl::Status ReadLine(const std::vector<absl::string_view>& words, LinkModel& links) {
  constexpr size_t kMostWords = 2 + Link::kSizes.size();
  if (words.size() != 3 && words.size() != kMostWords) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", words.size(),
                     " words, not a link's name, its seconds a message and its seconds a byte (one "
                     "number, or ",
                     Link::kSizes.size(), ")"));
  }
  for (const LinkClass link : kClasses) {
    if (words[0] != Name(link)) continue;
    if (links[link].known()) {
      return absl::InvalidArgumentError(absl::StrCat("names '", words[0], "' a second time"));
    }
    return ReadNumbers(absl::MakeConstSpan(words).subspan(1), links[link]);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("names a link '", words[0], "': there are self, node, remote and far"));
}

std::string Rate(double bytes_per_second) {
  if (bytes_per_second >= 1e9) return absl::StrFormat("%.1f GB/s", bytes_per_second * 1e-9);
  if (bytes_per_second >= 1e6) return absl::StrFormat("%.0f MB/s", bytes_per_second * 1e-6);
  return absl::StrFormat("%.0f kB/s", bytes_per_second * 1e-3);
}

std::string Rates(const Link& link) {
  const double first = link.seconds_per_byte.front();
  const double last = link.seconds_per_byte.back();
  if (std::fabs(last / first - 1.0) < 0.1) return Rate(1.0 / last);
  return absl::StrCat(Rate(1.0 / first), " to ", Rate(1.0 / last));
}

}  // namespace

Link::Lines Link::Slopes() const {
  Lines slopes = {};
  double size = 0.0;
  double seconds = 0.0;
  for (size_t i = 0; i < kSizes.size(); ++i) {
    slopes[i] = std::max(0.0, (kSizes[i] * seconds_per_byte[i] - seconds) / (kSizes[i] - size));
    seconds += slopes[i] * (kSizes[i] - size);
    size = kSizes[i];
  }
  slopes.back() = beyond > 0.0 ? beyond : slopes[kSizes.size() - 1];
  return slopes;
}

Link::Lines Link::Split(double bytes) {
  Lines lines = {};
  double begin = 0.0;
  for (size_t i = 0; i < kSizes.size(); ++i) {
    lines[i] = std::min(bytes, kSizes[i]) - begin;
    begin = kSizes[i];
    if (bytes <= begin) return lines;
  }
  lines.back() = bytes - begin;
  return lines;
}

double Link::Seconds(double bytes) const {
  const Lines slopes = Slopes();
  const Lines lines = Split(bytes);
  return std::inner_product(slopes.begin(), slopes.end(), lines.begin(), 0.0);
}

LinkUse& LinkUse::operator+=(const LinkUse& other) {
  messages += other.messages;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] += other.bytes[i];
  return *this;
}

LinkUses& operator+=(LinkUses& uses, const LinkUses& more) {
  for (size_t c = 0; c < uses.size(); ++c) uses[c] += more[c];
  return uses;
}

double Seconds(const LinkModel& links, const LinkUses& uses) {
  double seconds = 0.0;
  for (const LinkClass link : kClasses) {
    const LinkUse& use = uses[static_cast<size_t>(link)];
    const Link::Lines slopes = links[link].Slopes();
    seconds += use.messages * links[link].latency;
    for (size_t i = 0; i < slopes.size(); ++i) seconds += use.bytes[i] * slopes[i];
  }
  return seconds;
}

absl::string_view Name(LinkClass link) {
  constexpr std::array<absl::string_view, kNumLinkClasses> kNames = {"self", "node", "remote",
                                                                     "far"};
  return kNames[static_cast<size_t>(link)];
}

bool LinkModel::Covers(const Topology& topology) const {
  if (topology.num_ranks() == 1) return true;
  return std::all_of(kClasses.begin(), kClasses.end(),
                     [&](LinkClass link) { return !topology.has(link) || (*this)[link].known(); });
}

bool LinkModel::empty() const {
  return std::none_of(kClasses.begin(), kClasses.end(),
                      [this](LinkClass link) { return (*this)[link].known(); });
}

std::string LinkModel::Missing(const Topology& topology) const {
  std::string names;
  if (empty() || Covers(topology)) return names;
  for (const LinkClass link : kClasses) {
    if (!topology.has(link) || (*this)[link].known()) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", Name(link));
  }
  return names;
}

std::string LinksToText(const LinkModel& links) {
  std::string text =
      "# Links between ranks: class, seconds a message, seconds a byte (one rate, or of pieces of "
      "128 KiB, 512 KiB and 2 MiB)\n";
  for (const LinkClass link : kClasses) {
    if (!links[link].known()) continue;
    const auto& rates = links[link].seconds_per_byte;
    const bool one_rate = rates.front() == rates[1] && rates[1] == rates.back();
    absl::StrAppendFormat(&text, "%s %.9g %.9g", Name(link), links[link].latency, rates[0]);
    if (!one_rate) absl::StrAppendFormat(&text, " %.9g %.9g", rates[1], rates[2]);
    text += "\n";
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
                          links[link].latency * 1e6, Rates(links[link]));
  }
  return text.empty() ? "none" : text;
}

}  // namespace equipoise::comm
