#ifndef EQUIPOISE_CORE_TELEMETRY_TF_RECORD_H_
#define EQUIPOISE_CORE_TELEMETRY_TF_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace equipoise {

// CRC-32C (Castagnoli), as in RFC 3720, appendix B.4.
uint32_t Crc32c(std::string_view bytes);

// `data` framed as TensorFlow frames records in files: length u64 | masked CRC of these eight bytes
// | data | masked CRC of the data; little-endian
// (https://www.tensorflow.org/tutorials/load_data/tfrecord).
std::string FrameTfRecord(std::string_view data);

// The data of the record at the front of `file`, which is then moved behind it; nothing at the end,
// or where no whole record begins.
std::optional<std::string_view> NextTfRecord(std::string_view& file);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_TF_RECORD_H_
