#ifndef EQUIPOISE_LAUNCHER_SWEEP_REPORT_TEXT_H_
#define EQUIPOISE_LAUNCHER_SWEEP_REPORT_TEXT_H_

#include <string>

#include "launcher/sweep/sweep_report.h"

namespace equipoise::launcher {

// The report as a table for people: a row for each point with the most important figures.
std::string ReportTable(const SweepReport& report);

// As CSV (RFC 4180): a row for each point; for each figure its mean and `<figure>_ci95`, half the
// width of the confidence interval. What is absent is an empty cell.
std::string ReportCsv(const SweepReport& report);

// As JSON, points and trials with every figure they have. docs/experiments.md lists the keys.
std::string ReportJson(const SweepReport& report);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_REPORT_TEXT_H_
