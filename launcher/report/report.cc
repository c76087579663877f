#include "launcher/report/report.h"

#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "core/io/file_system.h"
#include "launcher/report/page.h"
#include "launcher/report/run_history.h"
#include "launcher/report/run_sections.h"
#include "launcher/report/sweep_sections.h"

namespace equipoise::launcher {
namespace {

void Append(std::vector<Section> more, std::vector<Section>& sections) {
  std::move(more.begin(), more.end(), std::back_inserter(sections));
}

std::vector<Section> RunSections(const Runs& runs) {
  return {OverviewSection(runs), LossSection(runs),     BalanceSection(runs),
          LoadSection(runs),     DomainSection(runs),   ExchangeSection(runs),
          TimeSection(runs),     TimelineSection(runs), ConfigurationSection(runs)};
}

// Two runs of one name, in different folders, get their paths instead.
void NameApart(Runs& runs) {
  std::map<std::string, int> counts;
  for (const RunHistory& run : runs) ++counts[run.name];
  for (RunHistory& run : runs) {
    if (counts[run.name] > 1) run.name = run.path;
  }
}

}  // namespace

absl::StatusOr<std::string> MakeReport(const std::vector<std::string>& paths, int window) {
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  Runs runs;
  std::vector<Section> sections;
  std::vector<std::string> names;
  for (const std::string& path : paths) {
    if (files->Exists(JoinPath(path, "sweep.json"))) {
      const std::string prefix = absl::StrCat("sweep-", names.size(), "-");
      EQ_ASSIGN_OR_RETURN(std::vector<Section> more, SweepSections(path, prefix, window));
      names.push_back(more.front().title);
      Append(std::move(more), sections);
      continue;
    }
    absl::StatusOr<RunHistory> run = ReadRun(path, window);
    if (absl::IsNotFound(run.status())) {
      return absl::NotFoundError(absl::StrCat(run.status().message(), ", or of a sweep"));
    }
    EQ_RETURN_IF_ERROR(run.status());
    runs.push_back(*std::move(run));
  }
  NameApart(runs);
  for (const RunHistory& run : runs) names.push_back(run.name);
  if (!runs.empty()) Append(RunSections(runs), sections);
  const std::string now = absl::FormatTime("%Y-%m-%d %H:%M UTC", absl::Now(), absl::UTCTimeZone());
  return MakePage(absl::StrJoin(names, ", "),
                  absl::StrCat("Report of ", now, " on ", absl::StrJoin(paths, ", ")), sections);
}

}  // namespace equipoise::launcher
