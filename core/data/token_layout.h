#ifndef EQUIPOISE_CORE_DATA_TOKEN_LAYOUT_H_
#define EQUIPOISE_CORE_DATA_TOKEN_LAYOUT_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace equipoise {

// Every format below is little-endian on disk and is read without swapping.
static_assert(std::endian::native == std::endian::little);

enum class TokenFormat {
  kAuto,      // recognised by content, see DetectTokenFormat
  kMegatron,  // NAME.bin with NAME.idx
  kLlmC,      // a shard with llm.c's header of 256 int32
  kNanoGpt,   // headerless uint16
  kBytes,     // every byte is a token; NAME.docs, if there, holds the document boundaries
};

// "megatron", "llmc", "nanogpt", "bytes", "auto": the spelling used in configuration and messages.
const char* TokenFormatName(TokenFormat format);

// How one token is stored. The numbers are the dtype codes of Megatron's .idx; its codes 6 and 7
// are floating point and hold no tokens.
enum class TokenType : uint8_t {
  kU8 = 1,
  kI8 = 2,
  kI16 = 3,
  kI32 = 4,
  kI64 = 5,
  kU16 = 8,
  kU32 = 9
};

// Bytes of one token.
int64_t TokenTypeSize(TokenType type);

// What a format's parser found out about a token file. A plain value.
struct TokenLayout {
  TokenType type = TokenType::kU8;
  int64_t data_offset = 0;  // bytes before the first token in the data file
  int64_t num_tokens = 0;
  // Tokens [document_begin[i], document_begin[i + 1]) are document i: ascending, the first 0, the
  // last num_tokens. A format without boundaries is one document.
  std::vector<int64_t> document_begin;
  // Whether the boundaries come from the file. A stream without them carries its own separators.
  bool has_documents = false;
};

// The value of type T at byte `offset` of `bytes`, which need not be aligned.
// REQUIRES: offset + sizeof(T) <= bytes.size().
template <typename T>
T LoadUnaligned(std::span<const std::byte> bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DATA_TOKEN_LAYOUT_H_
