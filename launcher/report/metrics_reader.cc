#include "launcher/report/metrics_reader.h"

#include <simdjson.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace equipoise::launcher {
namespace {

namespace json = simdjson::ondemand;
using simdjson::error_code;
using simdjson::SUCCESS;

constexpr size_t kBlockBytes = size_t{4} << 20;

// null, and a number where there should be none, leave kAbsent.
void ReadNumber(json::value value, double& number) {
  double read = 0.0;
  if (value.get_double().get(read) == SUCCESS) number = read;
}

error_code ReadIntegers(json::value value, std::vector<int64_t>& numbers) {
  numbers.clear();
  json::array array;
  if (const error_code error = value.get_array().get(array)) return error;
  for (auto element : array) {
    int64_t number = 0;
    if (const error_code error = element.get_int64().get(number)) return error;
    numbers.push_back(number);
  }
  return SUCCESS;
}

// Calls `read(key, value)` for every field; stops at the first error.
template <typename ReadField>
error_code ForEachField(json::object object, ReadField read) {
  for (auto field : object) {
    std::string_view key;
    json::value value;
    if (const error_code error = field.unescaped_key().get(key)) return error;
    if (const error_code error = field.value().get(value)) return error;
    if (const error_code error = read(key, value)) return error;
  }
  return SUCCESS;
}

template <typename ReadField>
error_code ForEachField(json::value value, ReadField read) {
  json::object object;
  if (const error_code error = value.get_object().get(object)) return error;
  return ForEachField(object, read);
}

struct LayerNumber {
  std::string_view key;
  double LayerRow::*number;
};
constexpr LayerNumber kLayerNumbers[] = {
    {"gini", &LayerRow::gini},
    {"min_max", &LayerRow::min_max},
    {"max_over_mean", &LayerRow::max_over_mean},
    {"floor_gini", &LayerRow::floor_gini},
    {"floor_min_max", &LayerRow::floor_min_max},
    {"floor_max_over_mean", &LayerRow::floor_max_over_mean},
    {"dead", &LayerRow::dead},
    {"dropped_share", &LayerRow::dropped_share},
};

constexpr LayerNumber kExchangeNumbers[] = {
    {"node_share", &LayerRow::node_share},
    {"predicted_seconds", &LayerRow::predicted_seconds},
    {"measured_seconds", &LayerRow::measured_seconds},
    {"exposed_seconds", &LayerRow::exposed_seconds},
    {"balance_efficiency", &LayerRow::balance_efficiency},
};

struct RowNumber {
  std::string_view key;
  double MetricsRow::*number;
};
constexpr RowNumber kRowNumbers[] = {
    {"tokens", &MetricsRow::tokens},
    {"loss", &MetricsRow::loss},
    {"cross_entropy", &MetricsRow::cross_entropy},
    {"learning_rate", &MetricsRow::learning_rate},
    {"gradient_norm", &MetricsRow::gradient_norm},
    {"tokens_per_second", &MetricsRow::tokens_per_second},
    {"step_seconds", &MetricsRow::step_seconds},
    {"mfu", &MetricsRow::mfu},
};

}  // namespace

class MetricsReader::Impl {
 public:
  Impl() : buffer_(kBlockBytes + simdjson::SIMDJSON_PADDING) {}

  absl::StatusOr<MetricsReadResult> Read(const std::string& path,
                                         const MetricsReaderOptions& options,
                                         const std::function<void(const MetricsRow&)>& visit) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                               std::fclose);
    if (file == nullptr) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot open '", path, "'"));
    }
    skip_counts_ = options.skip_counts;
    result_ = {};
    // From the byte before: if that ends a line, the next one is whole.
    result_.end_byte = options.from_byte == 0 ? 0 : options.from_byte - 1;
    std::fseek(file.get(), static_cast<long>(result_.end_byte), SEEK_SET);
    bool behind_a_line_end = options.from_byte == 0;
    size_t filled = 0;
    for (;;) {
      const size_t space = Space(filled);  // before its address is taken: it may move the buffer
      const size_t read = std::fread(buffer_.data() + filled, 1, space, file.get());
      if (read == 0) break;
      filled += read;
      const size_t used = TakeLines(filled, behind_a_line_end, visit);
      std::memmove(buffer_.data(), buffer_.data() + used, filled - used);
      filled -= used;
    }
    if (filled > 0) ++result_.num_skipped;
    return result_;
  }

 private:
  // A line that does not fit makes the buffer grow.
  size_t Space(size_t filled) {
    if (filled + kBlockBytes / 2 > buffer_.size() - simdjson::SIMDJSON_PADDING) {
      buffer_.resize(buffer_.size() * 2);
    }
    return buffer_.size() - simdjson::SIMDJSON_PADDING - filled;
  }

  size_t TakeLines(size_t filled, bool& behind_a_line_end,
                   const std::function<void(const MetricsRow&)>& visit) {
    size_t start = 0;
    while (const void* found = std::memchr(buffer_.data() + start, '\n', filled - start)) {
      const auto end = static_cast<size_t>(static_cast<const char*>(found) - buffer_.data());
      if (behind_a_line_end && end > start) TakeLine(start, end - start, visit);
      behind_a_line_end = true;
      result_.end_byte += end + 1 - start;
      start = end + 1;
    }
    return start;
  }

  void TakeLine(size_t start, size_t size, const std::function<void(const MetricsRow&)>& visit) {
    Clear();
    const simdjson::padded_string_view line(buffer_.data() + start, size, buffer_.size() - start);
    json::document document;
    json::object object;
    const bool ok = buffer_[start + size - 1] == '}' &&
                    parser_.iterate(line).get(document) == SUCCESS &&
                    document.get_object().get(object) == SUCCESS && ReadRow(object) == SUCCESS &&
                    row_.step >= 0;
    if (!ok) {
      ++result_.num_skipped;
      return;
    }
    ++result_.num_rows;
    visit(row_);
  }

  // Keeps the memory of the layers.
  void Clear() {
    std::vector<LayerRow> layers = std::move(row_.layers);
    row_ = MetricsRow();
    row_.layers = std::move(layers);
    num_layers_ = 0;
  }

  error_code ReadRow(json::object object) {
    const error_code error = ForEachField(object, [this](std::string_view key, json::value value) {
      if (key == "step") return value.get_int64().get(row_.step);
      if (key == "time") return ReadTime(value);
      if (key == "moe") return ReadLayers(value);
      if (key == "node_bytes") return ReadNodeBytes(value);
      if (key == "link_seconds") return ReadLinkSeconds(value);
      if (key == "validation") return ReadValidation(value);
      for (const RowNumber& number : kRowNumbers) {
        if (key == number.key) ReadNumber(value, row_.*number.number);
      }
      if (key == "cross_entropy") row_.has_cross_entropy = true;
      return SUCCESS;
    });
    row_.layers.resize(num_layers_);
    return error;
  }

  error_code ReadTime(json::value value) {
    row_.has_time = true;
    return ForEachField(value, [this](std::string_view key, json::value seconds) {
      for (int i = 0; i < kNumPhases; ++i) {
        if (key == Name(static_cast<Phase>(i))) {
          ReadNumber(seconds, row_.time[static_cast<size_t>(i)]);
        }
      }
      return SUCCESS;
    });
  }

  error_code ReadLayers(json::value value) {
    json::array array;
    if (const error_code error = value.get_array().get(array)) return error;
    for (auto element : array) {
      json::value layer;
      if (const error_code error = element.get(layer)) return error;
      if (row_.layers.size() <= num_layers_) row_.layers.emplace_back();
      if (const error_code error = ReadLayer(layer, row_.layers[num_layers_])) return error;
      ++num_layers_;
    }
    return SUCCESS;
  }

  error_code ReadLayer(json::value value, LayerRow& layer) {
    std::vector<int64_t> counts = std::move(layer.counts);
    std::vector<int64_t> loads = std::move(layer.rank_loads);
    std::vector<int64_t> bins = std::move(layer.gate_bins);
    for (std::vector<int64_t>* memory : {&counts, &loads, &bins}) memory->clear();
    layer = LayerRow();
    layer.counts = std::move(counts);
    layer.rank_loads = std::move(loads);
    layer.gate_bins = std::move(bins);
    return ForEachField(value, [this, &layer](std::string_view key, json::value field) {
      if (key == "counts") {
        return skip_counts_ ? SUCCESS : ReadIntegers(field, layer.counts);
      }
      if (key == "rank_loads") return ReadIntegers(field, layer.rank_loads);
      if (key == "gate_bins") {
        return skip_counts_ ? SUCCESS : ReadIntegers(field, layer.gate_bins);
      }
      if (key == "domain_counts") return ReadDomainCounts(field, layer);
      if (key == "exchange") return ReadExchange(field, layer);
      if (key == "layer") {
        int64_t index = 0;
        const error_code error = field.get_int64().get(index);
        layer.layer = static_cast<int>(index);
        return error;
      }
      for (const LayerNumber& number : kLayerNumbers) {
        if (key == number.key) ReadNumber(field, layer.*number.number);
      }
      return SUCCESS;
    });
  }

  static error_code ReadExchange(json::value value, LayerRow& layer) {
    return ForEachField(value, [&layer](std::string_view key, json::value field) {
      for (const LayerNumber& number : kExchangeNumbers) {
        if (key == number.key) ReadNumber(field, layer.*number.number);
      }
      return SUCCESS;
    });
  }

  // A list of lists, one after the other.
  error_code ReadNodeBytes(json::value value) {
    json::array rows;
    if (const error_code error = value.get_array().get(rows)) return error;
    std::vector<int64_t> bytes;
    for (auto element : rows) {
      json::value row;
      if (const error_code error = element.get(row)) return error;
      if (const error_code error = ReadIntegers(row, bytes)) return error;
      row_.node_bytes.insert(row_.node_bytes.end(), bytes.begin(), bytes.end());
    }
    return SUCCESS;
  }

  error_code ReadLinkSeconds(json::value value) {
    return ForEachField(value, [this](std::string_view link, json::value seconds) {
      ReadNumber(seconds, row_.link_seconds.emplace_back(std::string(link), kAbsent).second);
      return SUCCESS;
    });
  }

  error_code ReadDomainCounts(json::value value, LayerRow& layer) {
    return ForEachField(value, [&layer](std::string_view domain, json::value counts) {
      auto& entry = layer.domain_counts.emplace_back();
      entry.first = std::string(domain);
      return ReadIntegers(counts, entry.second);
    });
  }

  error_code ReadValidation(json::value value) {
    ValidationRow& validation = row_.validation;
    validation.present = true;
    return ForEachField(value, [&](std::string_view key, json::value field) {
      if (key == "loss") ReadNumber(field, validation.loss);
      if (key == "bits_per_byte") ReadNumber(field, validation.bits_per_byte);
      if (key == "domains") return ReadDomainLosses(field, validation);
      if (key == "moe") return ReadHeldOutLayers(field, validation);
      return SUCCESS;
    });
  }

  static error_code ReadDomainLosses(json::value value, ValidationRow& validation) {
    return ForEachField(value, [&](std::string_view domain, json::value figures) {
      auto& entry = validation.domain_losses.emplace_back(std::string(domain), kAbsent);
      return ForEachField(figures, [&](std::string_view key, json::value number) {
        if (key == "loss") ReadNumber(number, entry.second);
        return SUCCESS;
      });
    });
  }

  error_code ReadHeldOutLayers(json::value value, ValidationRow& validation) {
    json::array array;
    if (const error_code error = value.get_array().get(array)) return error;
    const bool skip_counts = std::exchange(skip_counts_, false);
    for (auto element : array) {
      json::value layer;
      error_code error = element.get(layer);
      if (error == SUCCESS) error = ReadLayer(layer, validation.layers.emplace_back());
      if (error != SUCCESS) return error;
    }
    skip_counts_ = skip_counts;
    return SUCCESS;
  }

  std::vector<char> buffer_;
  json::parser parser_;
  bool skip_counts_ = false;
  MetricsRow row_;
  size_t num_layers_ = 0;
  MetricsReadResult result_;
};

MetricsReader::MetricsReader() : impl_(std::make_unique<Impl>()) {}
MetricsReader::~MetricsReader() = default;

absl::StatusOr<MetricsReadResult> MetricsReader::Read(
    const std::string& path, const MetricsReaderOptions& options,
    const std::function<void(const MetricsRow&)>& visit) {
  return impl_->Read(path, options, visit);
}

}  // namespace equipoise::launcher
