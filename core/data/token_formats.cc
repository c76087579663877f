#include "core/data/token_formats.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace equipoise {
namespace {

constexpr size_t kSniffBytes = 1 << 16;

TokenLayout OneDocument(TokenType type, int64_t data_offset, int64_t num_tokens) {
  TokenLayout layout;
  layout.type = type;
  layout.data_offset = data_offset;
  layout.num_tokens = num_tokens;
  layout.document_begin = {0, num_tokens};
  return layout;
}

bool IsTextControl(uint8_t c) { return (c >= '\b' && c <= '\r') || c == 0x1B; }

// Length of the UTF-8 sequence that `lead` opens; 0 for a byte that opens none.
size_t Utf8Length(uint8_t lead) {
  if (lead < 0x80) return lead >= 0x20 || IsTextControl(lead) ? 1 : 0;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

// `cut` says that `text` is only the start of a file, so its last character may be incomplete.
bool IsText(std::span<const std::byte> text, bool cut) {
  size_t i = 0;
  while (i < text.size()) {
    const size_t length = Utf8Length(static_cast<uint8_t>(text[i]));
    if (length == 0) return false;
    if (i + length > text.size()) return cut;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<uint8_t>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

// What is known of an llm.c file by its magic.
struct LlmCKind {
  int32_t magic;
  int32_t version;
  TokenType type;
};
constexpr LlmCKind kLlmCKinds[] = {{kLlmCMagicU16, 1, TokenType::kU16},
                                   {kLlmCMagicU32, 7, TokenType::kU32}};

absl::StatusOr<LlmCKind> FindLlmCKind(const std::string& path, std::span<const std::byte> file) {
  const int32_t magic = LoadUnaligned<int32_t>(file, 0);
  const int32_t version = LoadUnaligned<int32_t>(file, 4);
  for (const LlmCKind& kind : kLlmCKinds) {
    if (magic != kind.magic) continue;
    if (version == kind.version) return kind;
    return absl::InvalidArgumentError(absl::StrCat(path, ": at byte 4: expected version ",
                                                   kind.version, " for llm.c's magic ", magic,
                                                   ", found ", version, "; tokenize again"));
  }
  const char* hint = "not an llm.c file: leave the format to recognition";
  if (magic == kLlmCMagicEval) hint = "an llm.c evaluation file: name its token shards";
  if (magic == kLlmCMagicTokenizer) hint = "an llm.c tokenizer: name the token shards";
  return absl::InvalidArgumentError(absl::StrCat(path, ": at byte 0: expected llm.c's magic ",
                                                 kLlmCMagicU16, " or ", kLlmCMagicU32, ", found ",
                                                 magic, "; ", hint));
}

}  // namespace

absl::StatusOr<TokenLayout> ParseLlmCShard(const std::string& path,
                                           std::span<const std::byte> file) {
  const int64_t file_bytes = static_cast<int64_t>(file.size());
  if (file_bytes < kLlmCHeaderBytes) {
    return absl::DataLossError(absl::StrCat(
        path, ": at byte ", file_bytes, ": expected llm.c's header of ", kLlmCHeaderBytes,
        " bytes, found ", file_bytes, "; the file is incomplete: copy or tokenize it again"));
  }
  EQ_ASSIGN_OR_RETURN(const LlmCKind kind, FindLlmCKind(path, file));
  const int64_t count = LoadUnaligned<int32_t>(file, 8);
  const int64_t expected = kLlmCHeaderBytes + count * TokenTypeSize(kind.type);
  if (count < 0 || file_bytes != expected) {
    return absl::DataLossError(absl::StrCat(
        path, ": at byte 8: the token count is ", count, ", so expected a file of ", expected,
        " bytes, found ", file_bytes, "; the file is incomplete: copy or tokenize it again"));
  }
  return OneDocument(kind.type, kLlmCHeaderBytes, count);
}

absl::StatusOr<TokenLayout> ParseNanoGpt(const std::string& path, int64_t file_bytes) {
  if (file_bytes % 2 != 0) {
    return absl::DataLossError(absl::StrCat(
        path, ": expected headerless uint16 tokens, an even number of bytes, found ", file_bytes,
        "; the file is incomplete, or it is text that is not UTF-8: then set the format to bytes"));
  }
  return OneDocument(TokenType::kU16, 0, file_bytes / 2);
}

TokenLayout BytesLayout(int64_t file_bytes) {
  TokenLayout layout = OneDocument(TokenType::kU8, 0, file_bytes);
  layout.has_documents = true;
  return layout;
}

absl::StatusOr<TokenLayout> ParseByteDocuments(const std::string& offsets_path,
                                               std::span<const std::byte> offsets,
                                               const std::string& data_path, int64_t data_bytes) {
  const auto corrupt = [&](int64_t offset, absl::string_view what) {
    return absl::DataLossError(absl::StrCat(offsets_path, ": at byte ", offset, ": ", what,
                                            "; the file does not belong to ", data_path,
                                            " or is damaged: build the corpus again"));
  };
  const int64_t size = static_cast<int64_t>(offsets.size());
  if (size < kDocsHeaderBytes || std::memcmp(offsets.data(), kDocsMagic, kDocsMagicBytes) != 0) {
    const absl::string_view found(reinterpret_cast<const char*>(offsets.data()),
                                  std::min<int64_t>(size, kDocsMagicBytes));
    return corrupt(0, absl::StrCat("expected \"EQDOCS1\\n\" and a count, found \"",
                                   absl::CHexEscape(found), "\" in ", size, " bytes"));
  }
  const uint64_t count = LoadUnaligned<uint64_t>(offsets, kDocsMagicBytes);
  const int64_t room = (size - kDocsHeaderBytes) / 8;
  const int64_t fewest = data_bytes == 0 ? 1 : 2;  // offsets
  if ((size - kDocsHeaderBytes) % 8 != 0 || room < fewest ||
      count != static_cast<uint64_t>(room - 1)) {
    return corrupt(kDocsMagicBytes,
                   absl::StrCat("the document count is ", count, " for ", data_bytes,
                                " bytes of text, so expected that many u64 offsets and one more "
                                "after byte ",
                                kDocsHeaderBytes, ", found ", size - kDocsHeaderBytes, " bytes"));
  }
  TokenLayout layout = BytesLayout(data_bytes);
  layout.document_begin.resize(room);
  int64_t previous = 0;
  for (int64_t d = 0; d < room; ++d) {
    const int64_t offset = kDocsHeaderBytes + 8 * d;
    const uint64_t value = LoadUnaligned<uint64_t>(offsets, offset);
    const int64_t low = d + 1 == room ? data_bytes : previous;
    const int64_t high = d == 0 ? 0 : data_bytes;
    if (value < static_cast<uint64_t>(low) || value > static_cast<uint64_t>(high)) {
      return corrupt(offset, absl::StrCat("offset ", d, ": expected a value from ", low, " to ",
                                          high, ", found ", value));
    }
    previous = layout.document_begin[d] = static_cast<int64_t>(value);
  }
  return layout;
}

TokenFormat DetectTokenFormat(std::span<const std::byte> file) {
  if (file.size() >= 4) {
    switch (LoadUnaligned<int32_t>(file, 0)) {
      case kLlmCMagicU16:
      case kLlmCMagicU32:
      case kLlmCMagicEval:
      case kLlmCMagicTokenizer:
        return TokenFormat::kLlmC;
      default:
        break;
    }
  }
  const bool cut = file.size() > kSniffBytes;
  const bool text = IsText(file.first(std::min(file.size(), kSniffBytes)), cut);
  return text ? TokenFormat::kBytes : TokenFormat::kNanoGpt;
}

}  // namespace equipoise
