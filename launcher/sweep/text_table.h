#ifndef EQUIPOISE_LAUNCHER_SWEEP_TEXT_TABLE_H_
#define EQUIPOISE_LAUNCHER_SWEEP_TEXT_TABLE_H_

#include <string>
#include <vector>

namespace equipoise::launcher {

// Columns as wide as their widest cell, two spaces apart; columns of numbers to the right, but
// never the first. The first row is the heading. Ends with a line end. REQUIRES: equally many cells
// in every row.
std::string TextTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_TEXT_TABLE_H_
