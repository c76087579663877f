#ifndef EQUIPOISE_CORE_DATA_TOKEN_FILE_H_
#define EQUIPOISE_CORE_DATA_TOKEN_FILE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/mapped_file.h"
#include "core/data/token_layout.h"

namespace equipoise {

// Raw bytes need no tokenizer: token b is byte b, and kByteSeparator ends a document. A model that
// reads them has at least kByteVocabSize entries.
inline constexpr int32_t kByteSeparator = 256;
inline constexpr int64_t kByteVocabSize = 257;

struct TokenFileOptions {
  // Leave at kAuto; say it when a file is taken for another format (text that is not UTF-8, say).
  TokenFormat format = TokenFormat::kAuto;
  // A token must be in [0, vocab_size). REQUIRES: 0 < vocab_size <= 2^31 - 1.
  int64_t vocab_size = 0;
};

// Tokens [begin, end) of a file.
struct TokenRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

// A memory-mapped file of tokens in any of the formats of TokenFormat, behind one interface.
// Immutable and thread-safe. Owns its mapping; the file must not shrink while it is open.
class TokenFile {
 public:
  // `path` names the data file (x.bin, x.bytes, x.txt). For Megatron also x.idx or the bare x, as
  // Megatron's own options do. With kAuto: a .idx beside a .bin, or a .docs beside a .bytes, decide
  // it; without one the first bytes do (DetectTokenFormat).
  // Errors: NotFound; DataLoss for a truncated or inconsistent file; InvalidArgument for a file
  // without tokens, an index that would be read as tokens, an unsupported version or dtype, or
  // wrong options. Reads the index only: token values are checked by ReadTokens.
  static absl::StatusOr<std::unique_ptr<TokenFile>> Open(const std::string& path,
                                                         const TokenFileOptions& options);

  const std::string& path() const { return data_->path(); }
  TokenFormat format() const { return format_; }

  int64_t num_tokens() const { return layout_.num_tokens; }

  // Documents in file order; together they cover every token. A document may be empty.
  int64_t num_documents() const { return static_cast<int64_t>(layout_.document_begin.size()) - 1; }
  // REQUIRES: 0 <= index < num_documents().
  TokenRange document(int64_t index) const;

  // False for a stream whose documents are not marked (llm.c, nanoGPT): it carries its own
  // separator tokens. True for Megatron and bytes; a text file without .docs is one document.
  bool has_documents() const { return layout_.has_documents; }

  // Copies tokens [begin, begin + out.size()) to `out`. OutOfRange when the range leaves the file,
  // or when a token is not in [0, vocab_size): the message names the file, the token's position and
  // byte offset, and its value; `out` is then unspecified, so never hand it on.
  absl::Status ReadTokens(int64_t begin, std::span<int32_t> out) const;

 private:
  TokenFile(std::unique_ptr<MappedFile> data, TokenFormat format, TokenLayout layout,
            int64_t vocab_size);

  const std::unique_ptr<MappedFile> data_;
  const TokenFormat format_;
  const TokenLayout layout_;
  const int64_t vocab_size_;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DATA_TOKEN_FILE_H_
