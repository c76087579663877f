#ifndef EQUIPOISE_CORE_DATA_TOKEN_WRITER_H_
#define EQUIPOISE_CORE_DATA_TOKEN_WRITER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/data/token_layout.h"

// Writers of the formats that token_file.h reads, for conversion and for tests. Each writes whole
// files in place: write to a temporary name and rename where a reader may be looking. Errors carry
// the path and the system's own text; a token that does not fit the type is InvalidArgument.
namespace equipoise {

using TokenDocuments = std::vector<std::vector<int32_t>>;

// PREFIX.bin and PREFIX.idx, one sequence a document. `type` may be any but kU32, which Megatron
// does not know; Megatron itself takes kU16 below a vocabulary of 65,500 and kI32 above.
absl::Status WriteMegatron(const std::string& prefix, const TokenDocuments& documents,
                           TokenType type);

// One llm.c shard. REQUIRES: type is kU16 or kU32, fewer than 2^31 tokens.
absl::Status WriteLlmC(const std::string& path, std::span<const int32_t> tokens, TokenType type);

// Headerless uint16.
absl::Status WriteNanoGpt(const std::string& path, std::span<const int32_t> tokens);

// PREFIX.bytes and PREFIX.docs. Tokens must be in [0, 256): separators are not stored.
absl::Status WriteByteDocuments(const std::string& prefix, const TokenDocuments& documents);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DATA_TOKEN_WRITER_H_
