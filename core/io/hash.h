#ifndef EQUIPOISE_CORE_IO_HASH_H_
#define EQUIPOISE_CORE_IO_HASH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace equipoise {

// XXH3-64 of `bytes` with seed 0: finds every accident (truncation, flipped bits, swapped files)
// at memory speed; no defence against forgery.
uint64_t Xxh3(std::span<const std::byte> bytes);
uint64_t Xxh3(std::string_view text);

// The same over bytes that arrive in pieces. Not thread-safe.
class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  Xxh3Stream(Xxh3Stream&&) noexcept;
  Xxh3Stream& operator=(Xxh3Stream&&) noexcept;

  // Starts over.
  void Reset();
  void Update(std::span<const std::byte> bytes);
  // Of everything since the start or Reset.
  uint64_t Digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// 16 lower-case hexadecimal digits, most significant first, as `xxh64sum`-like tools print; and
// back, nothing for any other text.
std::string HashToHex(uint64_t hash);
std::optional<uint64_t> HashFromHex(std::string_view text);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_IO_HASH_H_
