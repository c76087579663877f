#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/data/token_formats.h"

namespace equipoise {
namespace {

constexpr int64_t kVersionOffset = 9;
constexpr int64_t kTypeOffset = 17;
constexpr int64_t kSequencesOffset = 18;
constexpr int64_t kBoundariesOffset = 26;

// The index being parsed and where its arrays lie.
struct Index {
  const std::string& path;
  std::span<const std::byte> bytes;
  TokenType type = TokenType::kU8;
  int64_t num_sequences = 0;   // S
  int64_t num_boundaries = 0;  // D

  int64_t size() const { return static_cast<int64_t>(bytes.size()); }
  int64_t lengths_offset() const { return kMegatronHeaderBytes; }
  int64_t pointers_offset() const { return lengths_offset() + 4 * num_sequences; }
  int64_t boundaries_offset() const { return pointers_offset() + 8 * num_sequences; }
  int64_t end_offset() const { return boundaries_offset() + 8 * num_boundaries; }
};

absl::Status Corrupt(const Index& index, int64_t offset, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(index.path, ": at byte ", offset, ": ", what,
                                          "; the index is damaged or incomplete: tokenize again"));
}

absl::StatusOr<TokenType> ParseType(const Index& index) {
  const uint8_t code = LoadUnaligned<uint8_t>(index.bytes, kTypeOffset);
  switch (code) {
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 8:
      return static_cast<TokenType>(code);
    case 6:
    case 7:
      return absl::InvalidArgumentError(absl::StrCat(
          index.path, ": at byte ", kTypeOffset, ": dtype code ", code,
          " is floating point, which holds no tokens; write the file with uint16 or int32"));
    default:
      return Corrupt(index, kTypeOffset,
                     absl::StrCat("expected a dtype code of 1 to 8, found ", code));
  }
}

absl::Status ParseCounts(Index& index) {
  const uint64_t sequences = LoadUnaligned<uint64_t>(index.bytes, kSequencesOffset);
  const uint64_t boundaries = LoadUnaligned<uint64_t>(index.bytes, kBoundariesOffset);
  // Divisions, so that a hostile count cannot overflow the product.
  const uint64_t room = static_cast<uint64_t>(index.size() - kMegatronHeaderBytes);
  if (sequences > room / 12) {
    return Corrupt(index, kSequencesOffset,
                   absl::StrCat("expected at most ", room / 12, " sequences in a file of ",
                                index.size(), " bytes, found ", sequences));
  }
  if (boundaries > (room - 12 * sequences) / 8) {
    return Corrupt(index, kBoundariesOffset,
                   absl::StrCat("expected at most ", (room - 12 * sequences) / 8,
                                " document boundaries in a file of ", index.size(),
                                " bytes, found ", boundaries));
  }
  const uint64_t fewest = sequences == 0 ? 1 : 2;
  if (boundaries < fewest) {
    return Corrupt(index, kBoundariesOffset,
                   absl::StrCat("expected at least ", fewest, " document boundaries for ",
                                sequences, " sequences, found ", boundaries));
  }
  index.num_sequences = static_cast<int64_t>(sequences);
  index.num_boundaries = static_cast<int64_t>(boundaries);
  const int64_t rest = index.size() - index.end_offset();
  if (rest != 0 && rest != index.num_sequences) {
    return Corrupt(index, index.end_offset(),
                   absl::StrCat("expected the end of the file or ", sequences,
                                " bytes of modes, found ", rest, " bytes"));
  }
  return absl::OkStatus();
}

absl::Status ParseHeader(Index& index) {
  if (index.size() < kMegatronHeaderBytes) {
    return Corrupt(index, index.size(),
                   absl::StrCat("expected a header of ", kMegatronHeaderBytes, " bytes, found ",
                                index.size()));
  }
  if (std::memcmp(index.bytes.data(), kMegatronMagic, kMegatronMagicBytes) != 0) {
    const absl::string_view found(reinterpret_cast<const char*>(index.bytes.data()),
                                  kMegatronMagicBytes);
    return Corrupt(index, 0,
                   absl::StrCat("expected the magic \"MMIDIDX\\0\\0\", found \"",
                                absl::CHexEscape(found), "\""));
  }
  const uint64_t version = LoadUnaligned<uint64_t>(index.bytes, kVersionOffset);
  if (version != 1) {
    return Corrupt(index, kVersionOffset, absl::StrCat("expected version 1, found ", version));
  }
  EQ_ASSIGN_OR_RETURN(index.type, ParseType(index));
  return ParseCounts(index);
}

// Checks lengths and pointers; returns the first token of every sequence, then the token count.
absl::StatusOr<std::vector<int64_t>> ParseSequences(const Index& index, int64_t data_bytes) {
  const int64_t width = TokenTypeSize(index.type);
  const int64_t capacity = data_bytes / width;
  std::vector<int64_t> begin(index.num_sequences + 1, 0);
  for (int64_t s = 0; s < index.num_sequences; ++s) {
    const int64_t length_offset = index.lengths_offset() + 4 * s;
    const int64_t pointer_offset = index.pointers_offset() + 8 * s;
    const int32_t length = LoadUnaligned<int32_t>(index.bytes, length_offset);
    const int64_t pointer = LoadUnaligned<int64_t>(index.bytes, pointer_offset);
    if (length < 0 || length > capacity - begin[s]) {
      return Corrupt(index, length_offset,
                     absl::StrCat("sequence ", s, ": expected at most ", capacity - begin[s],
                                  " tokens in what is left of a .bin of ", data_bytes,
                                  " bytes, found ", length));
    }
    if (pointer != begin[s] * width) {
      return Corrupt(index, pointer_offset,
                     absl::StrCat("sequence ", s, ": expected the byte offset ", begin[s] * width,
                                  " (right after the sequence before), found ", pointer));
    }
    begin[s + 1] = begin[s] + length;
  }
  return begin;
}

absl::StatusOr<std::vector<int64_t>> ParseDocuments(const Index& index,
                                                    const std::vector<int64_t>& sequence_begin) {
  std::vector<int64_t> begin(index.num_boundaries);
  int64_t previous = 0;
  for (int64_t d = 0; d < index.num_boundaries; ++d) {
    const int64_t offset = index.boundaries_offset() + 8 * d;
    const int64_t sequence = LoadUnaligned<int64_t>(index.bytes, offset);
    const bool last = d + 1 == index.num_boundaries;
    const int64_t low = last ? index.num_sequences : previous;
    const int64_t high = d == 0 ? 0 : index.num_sequences;
    if (sequence < low || sequence > high) {
      return Corrupt(index, offset,
                     absl::StrCat("document boundary ", d, ": expected a sequence from ", low,
                                  " to ", high, ", found ", sequence));
    }
    begin[d] = sequence_begin[sequence];
    previous = sequence;
  }
  return begin;
}

}  // namespace

absl::StatusOr<TokenLayout> ParseMegatronIndex(const std::string& index_path,
                                               std::span<const std::byte> bytes,
                                               const std::string& data_path, int64_t data_bytes) {
  Index index{index_path, bytes};
  EQ_RETURN_IF_ERROR(ParseHeader(index));
  EQ_ASSIGN_OR_RETURN(const std::vector<int64_t> sequence_begin, ParseSequences(index, data_bytes));
  TokenLayout layout;
  layout.type = index.type;
  layout.num_tokens = sequence_begin.back();
  layout.has_documents = true;
  const int64_t expected = layout.num_tokens * TokenTypeSize(index.type);
  if (data_bytes != expected) {
    return absl::DataLossError(
        absl::StrCat(data_path, ": at byte ", expected, ": expected the end of the file, as ",
                     index_path, " says, found ", data_bytes - expected,
                     " more bytes; the two files don't belong together: tokenize again"));
  }
  EQ_ASSIGN_OR_RETURN(layout.document_begin, ParseDocuments(index, sequence_begin));
  return layout;
}

}  // namespace equipoise
