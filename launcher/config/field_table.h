#ifndef EQUIPOISE_LAUNCHER_CONFIG_FIELD_TABLE_H_
#define EQUIPOISE_LAUNCHER_CONFIG_FIELD_TABLE_H_

#include <string>

namespace equipoise::launcher {

// Every field of a configuration with its type, default, unit, range and meaning, as Markdown: a
// table for each block. The second half of docs/configuration.md.
std::string FieldTable();
// The same of a sweep file, in docs/experiments.md.
std::string SweepFieldTable();

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_FIELD_TABLE_H_
