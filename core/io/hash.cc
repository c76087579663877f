#include "core/io/hash.h"

#include <xxhash.h>

namespace equipoise {

uint64_t Xxh3(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

uint64_t Xxh3(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

struct Xxh3Stream::State {
  XXH3_state_t* xxh3 = XXH3_createState();
  ~State() { XXH3_freeState(xxh3); }
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>()) { Reset(); }
Xxh3Stream::~Xxh3Stream() = default;
Xxh3Stream::Xxh3Stream(Xxh3Stream&&) noexcept = default;
Xxh3Stream& Xxh3Stream::operator=(Xxh3Stream&&) noexcept = default;

void Xxh3Stream::Reset() { XXH3_64bits_reset(state_->xxh3); }

void Xxh3Stream::Update(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_64bits_update(state_->xxh3, bytes.data(), bytes.size());
}

uint64_t Xxh3Stream::Digest() const { return XXH3_64bits_digest(state_->xxh3); }

std::string HashToHex(uint64_t hash) {
  std::string text(16, '0');
  for (size_t digit = 16; digit-- > 0; hash >>= 4) text[digit] = "0123456789abcdef"[hash & 15];
  return text;
}

std::optional<uint64_t> HashFromHex(std::string_view text) {
  if (text.size() != 16) return std::nullopt;
  uint64_t hash = 0;
  for (const char c : text) {
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && (c < 'a' || c > 'f')) return std::nullopt;
    hash = hash << 4 | static_cast<uint64_t>(is_digit ? c - '0' : c - 'a' + 10);
  }
  return hash;
}

}  // namespace equipoise
