#include "core/data/token_layout.h"

namespace equipoise {

const char* TokenFormatName(TokenFormat format) {
  switch (format) {
    case TokenFormat::kAuto:
      return "auto";
    case TokenFormat::kMegatron:
      return "megatron";
    case TokenFormat::kLlmC:
      return "llmc";
    case TokenFormat::kNanoGpt:
      return "nanogpt";
    case TokenFormat::kBytes:
      return "bytes";
  }
  return "unknown";
}

int64_t TokenTypeSize(TokenType type) {
  switch (type) {
    case TokenType::kU8:
    case TokenType::kI8:
      return 1;
    case TokenType::kI16:
    case TokenType::kU16:
      return 2;
    case TokenType::kI32:
    case TokenType::kU32:
      return 4;
    case TokenType::kI64:
      return 8;
  }
  return 0;
}

}  // namespace equipoise
