#include "core/data/token_writer.h"

#include <cerrno>
#include <cstdio>
#include <limits>
#include <memory>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/data/token_formats.h"

namespace equipoise {
namespace {

// Bytes of a file put together in memory.
class Buffer {
 public:
  template <typename T>
  void Append(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void AppendBytes(const char* bytes, size_t size) { bytes_.append(bytes, size); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

absl::Status WriteFile(const std::string& path, const Buffer& buffer) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot create"));
  const std::string& bytes = buffer.bytes();
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  const int write_error = errno;
  if (std::fclose(file) != 0 || !written) {
    return absl::ErrnoToStatus(written ? errno : write_error, absl::StrCat(path, ": cannot write"));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status AppendAs(const std::string& path, std::span<const int32_t> tokens, Buffer& out) {
  for (const int32_t token : tokens) {
    const T value = static_cast<T>(token);
    // Differs after a narrowing, and for a negative token in an unsigned type.
    if (static_cast<int64_t>(value) != token) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": token ", token, " does not fit into ",
                                                     sizeof(T), " bytes",
                                                     std::is_unsigned_v<T> ? ", unsigned" : ""));
    }
    out.Append(value);
  }
  return absl::OkStatus();
}

absl::Status AppendTokens(const std::string& path, std::span<const int32_t> tokens, TokenType type,
                          Buffer& out) {
  switch (type) {
    case TokenType::kU8:
      return AppendAs<uint8_t>(path, tokens, out);
    case TokenType::kI8:
      return AppendAs<int8_t>(path, tokens, out);
    case TokenType::kI16:
      return AppendAs<int16_t>(path, tokens, out);
    case TokenType::kI32:
      return AppendAs<int32_t>(path, tokens, out);
    case TokenType::kI64:
      return AppendAs<int64_t>(path, tokens, out);
    case TokenType::kU16:
      return AppendAs<uint16_t>(path, tokens, out);
    case TokenType::kU32:
      return AppendAs<uint32_t>(path, tokens, out);
  }
  return absl::InvalidArgumentError(absl::StrCat(path, ": unknown token type"));
}

}  // namespace

absl::Status WriteMegatron(const std::string& prefix, const TokenDocuments& documents,
                           TokenType type) {
  const std::string data_path = absl::StrCat(prefix, ".bin");
  if (type == TokenType::kU32) {
    return absl::InvalidArgumentError(absl::StrCat(data_path, ": Megatron has no uint32 dtype"));
  }
  Buffer data;
  for (const std::vector<int32_t>& document : documents) {
    EQ_RETURN_IF_ERROR(AppendTokens(data_path, document, type, data));
  }
  Buffer index;
  index.AppendBytes(kMegatronMagic, kMegatronMagicBytes);
  index.Append<uint64_t>(1);
  index.Append(type);
  index.Append<uint64_t>(documents.size());
  index.Append<uint64_t>(documents.size() + 1);
  for (const auto& document : documents) index.Append(static_cast<int32_t>(document.size()));
  int64_t offset = 0;
  for (const auto& document : documents) {
    index.Append(offset);
    offset += TokenTypeSize(type) * static_cast<int64_t>(document.size());
  }
  for (uint64_t d = 0; d <= documents.size(); ++d) index.Append(d);
  EQ_RETURN_IF_ERROR(WriteFile(data_path, data));
  return WriteFile(absl::StrCat(prefix, ".idx"), index);
}

absl::Status WriteLlmC(const std::string& path, std::span<const int32_t> tokens, TokenType type) {
  if (type != TokenType::kU16 && type != TokenType::kU32) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": llm.c has uint16 and uint32 only"));
  }
  if (tokens.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": a shard holds fewer than 2^31 tokens, not ", tokens.size()));
  }
  Buffer out;
  const bool narrow = type == TokenType::kU16;
  out.Append<int32_t>(narrow ? kLlmCMagicU16 : kLlmCMagicU32);
  out.Append<int32_t>(narrow ? 1 : 7);
  out.Append(static_cast<int32_t>(tokens.size()));
  while (out.bytes().size() < static_cast<size_t>(kLlmCHeaderBytes)) out.Append<int32_t>(0);
  EQ_RETURN_IF_ERROR(AppendTokens(path, tokens, type, out));
  return WriteFile(path, out);
}

absl::Status WriteNanoGpt(const std::string& path, std::span<const int32_t> tokens) {
  Buffer out;
  EQ_RETURN_IF_ERROR(AppendTokens(path, tokens, TokenType::kU16, out));
  return WriteFile(path, out);
}

absl::Status WriteByteDocuments(const std::string& prefix, const TokenDocuments& documents) {
  const std::string data_path = absl::StrCat(prefix, ".bytes");
  Buffer data;
  Buffer offsets;
  offsets.AppendBytes(kDocsMagic, kDocsMagicBytes);
  offsets.Append<uint64_t>(documents.size());
  offsets.Append<uint64_t>(0);
  for (const std::vector<int32_t>& document : documents) {
    EQ_RETURN_IF_ERROR(AppendTokens(data_path, document, TokenType::kU8, data));
    offsets.Append<uint64_t>(data.bytes().size());
  }
  EQ_RETURN_IF_ERROR(WriteFile(data_path, data));
  return WriteFile(absl::StrCat(prefix, ".docs"), offsets);
}

}  // namespace equipoise
