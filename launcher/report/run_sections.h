#ifndef EQUIPOISE_LAUNCHER_REPORT_RUN_SECTIONS_H_
#define EQUIPOISE_LAUNCHER_REPORT_RUN_SECTIONS_H_

#include <vector>

#include "launcher/report/page.h"
#include "launcher/report/run_history.h"

namespace equipoise::launcher {

// The parts of a report on one run, or on several beside one another. A part that a run has no data
// for says why. REQUIRES: at least one run.
using Runs = std::vector<RunHistory>;

Section OverviewSection(const Runs& runs);
Section LossSection(const Runs& runs);
Section BalanceSection(const Runs& runs);
Section LoadSection(const Runs& runs);
Section DomainSection(const Runs& runs);
Section ExchangeSection(const Runs& runs);
Section TimeSection(const Runs& runs);
Section TimelineSection(const Runs& runs);
Section ConfigurationSection(const Runs& runs);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_RUN_SECTIONS_H_
