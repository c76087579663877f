#include "core/data/packed_stream.h"

#include <glob.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/data/mapped_file.h"

namespace equipoise {
namespace {

// Appends the files that `path` stands for. A name that exists is taken as it is, even when it has
// characters of a pattern in it.
absl::Status ExpandPath(const std::string& path, std::vector<std::string>& files) {
  if (path.find_first_of("*?[") == std::string::npos || PathExists(path)) {
    files.push_back(path);
    return absl::OkStatus();
  }
  glob_t matches = {};
  // Sorted here by byte value: glob() itself would sort by the locale.
  const int error = glob(path.c_str(), GLOB_NOSORT, nullptr, &matches);
  std::vector<std::string> found(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
  globfree(&matches);
  if (error != 0) {
    return absl::NotFoundError(absl::StrCat(path, ": no file matches this pattern"));
  }
  std::sort(found.begin(), found.end());
  files.insert(files.end(), found.begin(), found.end());
  return absl::OkStatus();
}

// A pattern may match a file and its index ("books*"): its tokens would count twice. Naming the
// very same path twice is left alone; it may be meant.
absl::Status CheckNamedOnce(const std::string& path, const std::string& data_path,
                            std::map<std::string, std::string>& path_of_data) {
  const auto [known, is_new] = path_of_data.emplace(data_path, path);
  if (is_new || known->second == path) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": stands for ", data_path, ", as ", known->second,
                   " does: a file and its index must not both be named; name the .bin, or make the "
                   "pattern end with it"));
}

// The document whose tokens, followed by its separator, hold position `at` of the file's stream:
// the last one whose first position, begin + index, is not after it.
int64_t DocumentAt(const TokenFile& file, int64_t at) {
  int64_t low = 0;
  int64_t high = file.num_documents();
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (file.document(middle).begin + middle <= at) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

absl::StatusOr<bool> PackedStream::NeedsSeparator(const TokenFile& file, int32_t separator) {
  if (!file.has_documents()) return false;
  if (file.format() == TokenFormat::kBytes) return true;
  int64_t index = 0;
  while (file.document(index).size() == 0) ++index;  // The file has tokens, so one ends it.
  int32_t last = 0;
  EQ_RETURN_IF_ERROR(file.ReadTokens(file.document(index).end - 1, std::span(&last, 1)));
  return last != separator;
}

absl::StatusOr<std::unique_ptr<PackedStream>> PackedStream::Open(
    const PackedStreamOptions& options) {
  if (options.separator < 0 || options.separator >= options.file.vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat("separator: expected a token from 0 to ",
                                                   options.file.vocab_size - 1, ", found ",
                                                   options.separator));
  }
  std::vector<std::string> paths;
  for (const std::string& path : options.paths) EQ_RETURN_IF_ERROR(ExpandPath(path, paths));
  if (paths.empty()) return absl::InvalidArgumentError("expected at least one path, found none");
  std::vector<File> files;
  std::map<std::string, std::string> path_of_data;
  for (const std::string& path : paths) {
    File file;
    EQ_ASSIGN_OR_RETURN(file.tokens, TokenFile::Open(path, options.file));
    EQ_RETURN_IF_ERROR(CheckNamedOnce(path, file.tokens->path(), path_of_data));
    EQ_ASSIGN_OR_RETURN(file.add_separator, NeedsSeparator(*file.tokens, options.separator));
    files.push_back(std::move(file));
  }
  return std::unique_ptr<PackedStream>(new PackedStream(std::move(files), options.separator));
}

PackedStream::PackedStream(std::vector<File> files, int32_t separator)
    : files_(std::move(files)), separator_(separator) {
  file_begin_.push_back(0);
  for (const File& file : files_) {
    file_begin_.push_back(file_begin_.back() + file.packed_tokens());
    num_documents_ += file.tokens->num_documents();
  }
}

absl::Status PackedStream::Read(int64_t begin, std::span<int32_t> out) const {
  const int64_t count = static_cast<int64_t>(out.size());
  if (begin < 0 || begin > num_tokens() || count > num_tokens() - begin) {
    return absl::OutOfRangeError(absl::StrCat("expected a range within a stream of ", num_tokens(),
                                              " tokens, found ", count, " tokens from ", begin));
  }
  // The last file that begins at or before `begin`.
  auto next = std::upper_bound(file_begin_.begin(), file_begin_.end(), begin);
  while (!out.empty()) {
    const File& file = files_[next - file_begin_.begin() - 1];
    const int64_t here = std::min<int64_t>(static_cast<int64_t>(out.size()), *next - begin);
    EQ_RETURN_IF_ERROR(ReadFile(file, begin - *(next - 1), out.first(here)));
    out = out.subspan(here);
    begin += here;
    ++next;
  }
  return absl::OkStatus();
}

absl::Status PackedStream::ReadFile(const File& file, int64_t begin, std::span<int32_t> out) const {
  if (!file.add_separator) return file.tokens->ReadTokens(begin, out);
  for (int64_t index = DocumentAt(*file.tokens, begin); !out.empty(); ++index) {
    const TokenRange document = file.tokens->document(index);
    const int64_t skipped = begin - (document.begin + index);
    const int64_t copied =
        std::min<int64_t>(static_cast<int64_t>(out.size()), document.size() - skipped);
    EQ_RETURN_IF_ERROR(file.tokens->ReadTokens(document.begin + skipped, out.first(copied)));
    out = out.subspan(copied);
    begin += copied;
    if (out.empty()) break;
    out.front() = separator_;
    out = out.subspan(1);
    ++begin;
  }
  return absl::OkStatus();
}

}  // namespace equipoise
