#ifndef EQUIPOISE_CORE_TELEMETRY_VARINT_H_
#define EQUIPOISE_CORE_TELEMETRY_VARINT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace equipoise {

// Integers in as few bytes as they need, seven bits each, least significant first, as protocol
// buffers write them (https://protobuf.dev/programming-guides/encoding).
inline void AppendVarint(uint64_t value, std::string& out) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

// Small negative numbers become small: 0, -1, 1, -2 -> 0, 1, 2, 3.
inline uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
inline int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

// Reads what AppendVarint wrote. After the end, or on a varint of more than ten bytes, every call
// gives 0 and ok() is false. Does not own the text.
class VarintReader {
 public:
  explicit VarintReader(std::string_view text)
      : next_(text.data()), end_(text.data() + text.size()) {}

  uint64_t Next() {
    if (next_ != end_ && static_cast<signed char>(*next_) >= 0) {  // most are one byte
      return static_cast<unsigned char>(*next_++);
    }
    return NextLong();
  }
  int64_t NextSigned() { return UnZigZag(Next()); }
  // The next `size` bytes.
  std::string_view Bytes(uint64_t size) {
    if (size > remaining()) return Fail(), std::string_view();
    const std::string_view bytes(next_, size);
    next_ += size;
    return bytes;
  }

  bool ok() const { return ok_; }
  uint64_t remaining() const { return static_cast<uint64_t>(end_ - next_); }

 private:
  uint64_t NextLong() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && next_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*next_++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    Fail();
    return 0;
  }
  void Fail() {
    next_ = end_;
    ok_ = false;
  }

  const char* next_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_VARINT_H_
