#ifndef EQUIPOISE_LAUNCHER_CONFIG_PROVENANCE_H_
#define EQUIPOISE_LAUNCHER_CONFIG_PROVENANCE_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "launcher/config/problem.h"

namespace equipoise::launcher {

// Where every field of a configuration was written, by path: "moe.top_k", "data.domain[1].name".
// Belongs to one thread.
class Provenance {
 public:
  // `fallback`: where a problem with something that nobody wrote is reported.
  explicit Provenance(Location fallback) : fallback_(fallback) {}

  // What is written from here on comes from another text, laid over the earlier ones.
  void BeginText() { ++num_texts_; }
  int num_texts() const { return num_texts_; }
  void Write(const std::string& path, const Location& where);
  // Forgets `path` and all below it: a later text replaced it.
  void Erase(const std::string& path);
  // Its value could not be read, and has been reported: no rule may judge it. Also everything
  // below it.
  void MarkBroken(const std::string& path) { broken_.insert(path); }

  bool IsWritten(const std::string& path) const { return written_.count(path) > 0; }
  bool IsBroken(const std::string& path) const;
  // How many texts had begun when the field was written; 0: it was not.
  int TextOf(const std::string& path) const;
  // What was written after the first `num_texts` texts, without the blocks around it.
  std::vector<std::string> WrittenAfter(int num_texts) const;
  // Of the field, or of the nearest block around it that was written.
  Location Find(absl::string_view path) const;

 private:
  struct Writing {
    Location where;
    int text;
  };

  Location fallback_;
  int num_texts_ = 0;
  std::map<std::string, Writing, std::less<>> written_;
  std::set<std::string, std::less<>> broken_;
};

// "a" and "b": "a.b"; "" and "b": "b".
std::string JoinPath(const std::string& parent, absl::string_view name);
// The path of the block or list around `path`; "" at the top.
absl::string_view ParentPath(absl::string_view path);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_PROVENANCE_H_
