#include "core/data/token_file.h"

#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/data/token_formats.h"

namespace equipoise {
namespace {

// The files that `path` stands for.
struct ResolvedPaths {
  TokenFormat format = TokenFormat::kAuto;  // kAuto: the first bytes decide
  std::string data;
  std::string index;  // .idx or .docs; empty without one
};

ResolvedPaths ResolveMegatron(const std::string& path) {
  absl::string_view prefix = path;
  if (!absl::ConsumeSuffix(&prefix, ".idx")) absl::ConsumeSuffix(&prefix, ".bin");
  return {TokenFormat::kMegatron, absl::StrCat(prefix, ".bin"), absl::StrCat(prefix, ".idx")};
}

ResolvedPaths ResolveBytes(const std::string& path) {
  ResolvedPaths paths{TokenFormat::kBytes, path, ""};
  absl::string_view prefix = path;
  if (!absl::ConsumeSuffix(&prefix, ".bytes")) return paths;
  const std::string index = absl::StrCat(prefix, ".docs");
  if (PathExists(index)) paths.index = index;
  return paths;
}

ResolvedPaths Resolve(const std::string& path, TokenFormat format) {
  switch (format) {
    case TokenFormat::kMegatron:
      return ResolveMegatron(path);
    case TokenFormat::kBytes:
      return ResolveBytes(path);
    case TokenFormat::kLlmC:
    case TokenFormat::kNanoGpt:
      return {format, path, ""};
    case TokenFormat::kAuto:
      break;
  }
  const ResolvedPaths megatron = ResolveMegatron(path);
  const bool names_index = absl::EndsWith(path, ".idx");
  const bool names_bin = absl::EndsWith(path, ".bin");
  if (names_index) return megatron;
  if (PathExists(megatron.index) && (names_bin || !PathExists(path))) return megatron;
  if (absl::EndsWith(path, ".bytes")) return ResolveBytes(path);
  return {TokenFormat::kAuto, path, ""};
}

absl::StatusOr<TokenLayout> ParseIndexed(const ResolvedPaths& paths, int64_t data_bytes) {
  EQ_ASSIGN_OR_RETURN(const std::unique_ptr<MappedFile> index, MappedFile::Open(paths.index));
  if (paths.format == TokenFormat::kMegatron) {
    return ParseMegatronIndex(paths.index, index->bytes(), paths.data, data_bytes);
  }
  return ParseByteDocuments(paths.index, index->bytes(), paths.data, data_bytes);
}

absl::StatusOr<TokenLayout> Parse(const ResolvedPaths& paths, std::span<const std::byte> data) {
  const int64_t data_bytes = static_cast<int64_t>(data.size());
  if (!paths.index.empty()) return ParseIndexed(paths, data_bytes);
  switch (paths.format) {
    case TokenFormat::kLlmC:
      return ParseLlmCShard(paths.data, data);
    case TokenFormat::kNanoGpt:
      return ParseNanoGpt(paths.data, data_bytes);
    default:
      return BytesLayout(data_bytes);
  }
}

bool BeginsWith(std::span<const std::byte> bytes, const char* magic, size_t length) {
  return bytes.size() >= length && std::memcmp(bytes.data(), magic, length) == 0;
}

// An index read as tokens would be trained on without any sign of it.
absl::Status CheckNoIndex(const std::string& path, std::span<const std::byte> data) {
  const bool is_megatron = BeginsWith(data, kMegatronMagic, kMegatronMagicBytes);
  if (!is_megatron && !BeginsWith(data, kDocsMagic, kDocsMagicBytes)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": this is an index (", is_megatron ? "Megatron's" : "of a .bytes file",
      "), which holds no tokens; name its ", is_megatron ? ".bin" : ".bytes", " instead"));
}

// Copies out.size() tokens from `in`; false when one is not in [0, vocab_size). No early exit, so
// that the loop is vectorised: a bad token is a rare and fatal event.
template <typename T>
bool CopyTokens(const std::byte* in, uint64_t vocab_size, std::span<int32_t> out) {
  bool bad = false;
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, in + i * sizeof(T), sizeof(T));
    // A negative value becomes a huge one.
    bad |= static_cast<uint64_t>(static_cast<int64_t>(value)) >= vocab_size;
    out[i] = static_cast<int32_t>(value);
  }
  return !bad;
}

bool CopyTokensOf(TokenType type, const std::byte* in, uint64_t vocab_size,
                  std::span<int32_t> out) {
  switch (type) {
    case TokenType::kU8:
      return CopyTokens<uint8_t>(in, vocab_size, out);
    case TokenType::kI8:
      return CopyTokens<int8_t>(in, vocab_size, out);
    case TokenType::kI16:
      return CopyTokens<int16_t>(in, vocab_size, out);
    case TokenType::kI32:
      return CopyTokens<int32_t>(in, vocab_size, out);
    case TokenType::kI64:
      return CopyTokens<int64_t>(in, vocab_size, out);
    case TokenType::kU16:
      return CopyTokens<uint16_t>(in, vocab_size, out);
    case TokenType::kU32:
      return CopyTokens<uint32_t>(in, vocab_size, out);
  }
  return false;
}

int64_t LoadToken(TokenType type, std::span<const std::byte> data, int64_t offset) {
  switch (type) {
    case TokenType::kU8:
      return LoadUnaligned<uint8_t>(data, offset);
    case TokenType::kI8:
      return LoadUnaligned<int8_t>(data, offset);
    case TokenType::kI16:
      return LoadUnaligned<int16_t>(data, offset);
    case TokenType::kI32:
      return LoadUnaligned<int32_t>(data, offset);
    case TokenType::kI64:
      return LoadUnaligned<int64_t>(data, offset);
    case TokenType::kU16:
      return LoadUnaligned<uint16_t>(data, offset);
    case TokenType::kU32:
      return LoadUnaligned<uint32_t>(data, offset);
  }
  return -1;
}

absl::Status BadToken(const MappedFile& file, TokenFormat format, const TokenLayout& layout,
                      int64_t vocab_size, int64_t begin) {
  const int64_t width = TokenTypeSize(layout.type);
  int64_t token = begin;
  int64_t value = 0;
  do {
    value = LoadToken(layout.type, file.bytes(), layout.data_offset + width * token);
    ++token;
  } while (value >= 0 && value < vocab_size);
  --token;
  return absl::OutOfRangeError(
      absl::StrCat(file.path(), ": token ", token, " (at byte ", layout.data_offset + width * token,
                   ", read as ", TokenFormatName(format), "): expected a value from 0 to ",
                   vocab_size - 1, ", found ", value, "; the vocabulary of the model (", vocab_size,
                   ") is smaller than the tokenizer's, or the file is not in this format"));
}

absl::Status CheckVocabulary(const std::string& path, int64_t vocab_size) {
  if (vocab_size > 0 && vocab_size <= std::numeric_limits<int32_t>::max()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(path, ": expected a vocabulary of 1 to ",
                                                 std::numeric_limits<int32_t>::max(), ", found ",
                                                 vocab_size));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenFile>> TokenFile::Open(const std::string& path,
                                                           const TokenFileOptions& options) {
  EQ_RETURN_IF_ERROR(CheckVocabulary(path, options.vocab_size));
  ResolvedPaths paths = Resolve(path, options.format);
  EQ_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> data, MappedFile::Open(paths.data));
  EQ_RETURN_IF_ERROR(CheckNoIndex(paths.data, data->bytes()));
  if (paths.format == TokenFormat::kAuto) paths.format = DetectTokenFormat(data->bytes());
  EQ_ASSIGN_OR_RETURN(TokenLayout layout, Parse(paths, data->bytes()));
  if (layout.num_tokens == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(paths.data, ": holds no tokens (", data->bytes().size(), " bytes, read as ",
                     TokenFormatName(paths.format), "); name a file with text or tokens"));
  }
  return std::unique_ptr<TokenFile>(
      new TokenFile(std::move(data), paths.format, std::move(layout), options.vocab_size));
}

TokenFile::TokenFile(std::unique_ptr<MappedFile> data, TokenFormat format, TokenLayout layout,
                     int64_t vocab_size)
    : data_(std::move(data)),
      format_(format),
      layout_(std::move(layout)),
      vocab_size_(vocab_size) {}

TokenRange TokenFile::document(int64_t index) const {
  EQ_CHECK(index >= 0 && index < num_documents()) << "document " << index << " of " << path();
  return {layout_.document_begin[index], layout_.document_begin[index + 1]};
}

absl::Status TokenFile::ReadTokens(int64_t begin, std::span<int32_t> out) const {
  const int64_t count = static_cast<int64_t>(out.size());
  if (begin < 0 || begin > num_tokens() || count > num_tokens() - begin) {
    return absl::OutOfRangeError(absl::StrCat(path(), ": expected a range within ", num_tokens(),
                                              " tokens, found ", count, " tokens from ", begin));
  }
  const int64_t offset = layout_.data_offset + TokenTypeSize(layout_.type) * begin;
  if (CopyTokensOf(layout_.type, data_->bytes().data() + offset, static_cast<uint64_t>(vocab_size_),
                   out)) {
    return absl::OkStatus();
  }
  return BadToken(*data_, format_, layout_, vocab_size_, begin);
}

}  // namespace equipoise
