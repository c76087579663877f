#ifndef EQUIPOISE_CORE_DATA_TOKEN_FORMATS_H_
#define EQUIPOISE_CORE_DATA_TOKEN_FORMATS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "core/data/token_layout.h"

// One parser a format, over bytes in memory. They check everything that makes later reads safe:
// after an OK layout, every token of [0, num_tokens) lies inside the data file. Each error names
// the file, the byte offset, what was expected and found there, and what to do.
namespace equipoise {

// Megatron-LM's indexed dataset (megatron/core/datasets/indexed_dataset.py). `index` is NAME.idx,
// `data_bytes` the size of NAME.bin:
//   0 "MMIDIDX\0\0"   9 u64 version 1   17 u8 dtype   18 u64 S sequences   26 u64 D boundaries
//   34 i32[S] tokens of each sequence, i64[S] byte offset of each in .bin, i64[D] the sequence at
//   which each document starts (first 0, last S), optionally i8[S] modes, which are not read.
// The arrays are unaligned. Sequences must lie one after the other and fill .bin exactly, as every
// Megatron writer lays them out: anything else means that the two files don't belong together.
absl::StatusOr<TokenLayout> ParseMegatronIndex(const std::string& index_path,
                                               std::span<const std::byte> index,
                                               const std::string& data_path, int64_t data_bytes);

// llm.c's shard: 256 int32, of which [0] is the magic, [1] the version, [2] the token count; then
// uint16 tokens (magic 20240520, version 1) or uint32 (20240801, version 7). One document: the
// stream holds its own separators. llm.c's evaluation and tokenizer files are told apart by name.
absl::StatusOr<TokenLayout> ParseLlmCShard(const std::string& path,
                                           std::span<const std::byte> file);

// nanoGPT's headerless uint16 tokens. One document, as for llm.c.
absl::StatusOr<TokenLayout> ParseNanoGpt(const std::string& path, int64_t file_bytes);

// Raw bytes: token i is byte i, a value in [0, 256). Without boundaries the file is one document.
TokenLayout BytesLayout(int64_t file_bytes);

// Raw bytes with the boundaries of NAME.docs (`offsets`):
//   0 "EQDOCS1\n"   8 u64 D   16 u64[D + 1] byte offsets into NAME.bytes, ascending, the first 0,
//   the last the size of NAME.bytes.
absl::StatusOr<TokenLayout> ParseByteDocuments(const std::string& offsets_path,
                                               std::span<const std::byte> offsets,
                                               const std::string& data_path, int64_t data_bytes);

inline constexpr char kMegatronMagic[] = "MMIDIDX\0";  // nine bytes with the closing zero
inline constexpr int64_t kMegatronMagicBytes = 9;
inline constexpr int64_t kMegatronHeaderBytes = 34;
inline constexpr int64_t kLlmCHeaderBytes = 1024;
inline constexpr int32_t kLlmCMagicU16 = 20240520;
inline constexpr int32_t kLlmCMagicU32 = 20240801;
inline constexpr int32_t kLlmCMagicEval = 20240522;
inline constexpr int32_t kLlmCMagicTokenizer = 20240328;
inline constexpr char kDocsMagic[] = "EQDOCS1\n";
inline constexpr int64_t kDocsMagicBytes = 8;
inline constexpr int64_t kDocsHeaderBytes = 16;

// The format of a data file without an index, from its first bytes: llm.c by its magic; text
// (UTF-8 without NUL) is kBytes; everything else kNanoGpt. GPT-2's commonest tokens are below 256
// and so have a zero high byte, which text never has.
TokenFormat DetectTokenFormat(std::span<const std::byte> file);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DATA_TOKEN_FORMATS_H_
