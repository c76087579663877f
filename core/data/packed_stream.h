#ifndef EQUIPOISE_CORE_DATA_PACKED_STREAM_H_
#define EQUIPOISE_CORE_DATA_PACKED_STREAM_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/token_file.h"

namespace equipoise {

struct PackedStreamOptions {
  // Files in this order, each a path or a shell pattern ("books_train_*.bin"), whose matches come
  // in byte order of their names. Every one must exist and hold tokens, and no file may be named by
  // two names (x.bin and x.idx).
  std::vector<std::string> paths;
  TokenFileOptions file;
  // Ends a document. REQUIRES: 0 <= separator < file.vocab_size.
  int32_t separator = kByteSeparator;
};

// All documents of some token files as one stream of tokens, each document followed by the
// separator. The separator is added where the format marks documents and does not hold it already:
//   bytes            after every document;
//   Megatron         after every document, unless the file's first document that is not empty ends
//                    with it (written with Megatron's --append-eod), and then never in that file;
//   llm.c, nanoGPT   never: those streams carry their own.
// Immutable and thread-safe.
class PackedStream {
 public:
  static absl::StatusOr<std::unique_ptr<PackedStream>> Open(const PackedStreamOptions& options);

  // Tokens with separators. Positive.
  int64_t num_tokens() const { return file_begin_.back(); }
  int64_t num_documents() const { return num_documents_; }

  // Copies tokens [begin, begin + out.size()) of the stream. Errors as TokenFile::ReadTokens.
  absl::Status Read(int64_t begin, std::span<int32_t> out) const;

 private:
  struct File {
    std::unique_ptr<TokenFile> tokens;
    bool add_separator = false;
    int64_t packed_tokens() const {
      return tokens->num_tokens() + (add_separator ? tokens->num_documents() : 0);
    }
  };

  PackedStream(std::vector<File> files, int32_t separator);

  static absl::StatusOr<bool> NeedsSeparator(const TokenFile& file, int32_t separator);
  absl::Status ReadFile(const File& file, int64_t begin, std::span<int32_t> out) const;

  const std::vector<File> files_;
  const int32_t separator_;
  std::vector<int64_t> file_begin_;  // first stream position of each file, then the stream's end
  int64_t num_documents_ = 0;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DATA_PACKED_STREAM_H_
