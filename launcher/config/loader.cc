#include "launcher/config/loader.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "configs/schema/run.pb.h"
#include "core/io/hash.h"
#include "launcher/config/binder.h"
#include "launcher/config/choice_watch.h"
#include "launcher/config/effects.h"
#include "launcher/config/identity.h"
#include "launcher/config/printer.h"
#include "launcher/config/problem.h"
#include "launcher/config/provenance.h"
#include "launcher/config/rules.h"
#include "launcher/config/syntax.h"
#include "launcher/config/text_file.h"
#include "launcher/config/translate.h"

namespace equipoise::launcher {
namespace {

namespace fs = std::filesystem;

// The strings of a file's `include` fields, with their places.
std::vector<SyntaxValue> IncludesOf(const SyntaxValue& file) {
  std::vector<SyntaxValue> includes;
  auto add = [&](const SyntaxValue& value) {
    if (value.kind == SyntaxValue::Kind::kString) includes.push_back(value);
  };
  for (const SyntaxField& field : file.fields) {
    if (field.name != "include") continue;
    add(field.value);
    for (const SyntaxValue& item : field.value.items) add(item);
  }
  return includes;
}

// One load: what has been read so far and what is wrong with it.
class Loader {
 public:
  explicit Loader(const LoadRequest& request)
      : request_(request), binder_(config_, "a configuration", provenance_, problems_) {}

  absl::StatusOr<LoadedConfig> Run() {
    const absl::StatusOr<std::string> text = ReadConfigText(request_.path);
    if (!text.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(request_.path, ": ", text.status().message(), "\n"));
    }
    AddFile(request_.path, *text);
    for (const std::string& path : request_.fragments) AddFragment(path);
    for (const Change& change : request_.changes) AddChange(change);
    for (size_t i = 0; i < request_.overrides.size(); ++i) {
      const std::string& set = request_.overrides[i];
      AddChange({set, absl::StrCat("--set #", i + 1, " '", set, "'")});
    }
    choices_.Report(config_, request_.replaced_choice_advice, problems_);
    if (!request_.is_stored) CheckEffects(config_, provenance_, problems_);
    CheckRules(config_, provenance_, request_.num_ranks, problems_);
    if (!problems_.empty()) return problems_.ToStatus();
    return Finish();
  }

 private:
  // Returns the file's number in the problems.
  int AddFile(const std::string& path, const std::string& text) {
    const int source = problems_.AddSource(path, text, /*is_file=*/true);
    files_.push_back(path);
    open_.push_back(path);
    const SyntaxValue file = ParseFields(text, source, problems_);
    for (const SyntaxValue& include : IncludesOf(file)) AddInclude(path, include);
    binder_.BindFile(file);
    open_.pop_back();
    return source;
  }

  void AddFragment(const std::string& path) {
    const absl::StatusOr<std::string> text = ReadConfigText(path);
    Location where;
    if (text.ok()) {
      const int num_texts_before = provenance_.num_texts();
      where.source = AddFile(path, *text);
      return choices_.Record(config_, provenance_, num_texts_before, where);
    }
    where.source = problems_.AddSource(path, "", /*is_file=*/false);
    problems_.Add(where, std::string(text.status().message()));
  }

  void AddInclude(const std::string& from, const SyntaxValue& include) {
    const std::string path =
        (fs::path(from).parent_path() / include.text).lexically_normal().string();
    std::error_code error;
    for (const std::string& outer : open_) {
      if (path != outer && !fs::equivalent(path, outer, error)) continue;
      return problems_.Add(include.where,
                           absl::StrCat("include goes round in a circle: ",
                                        absl::StrJoin(open_, " includes "), " includes ", path));
    }
    const absl::StatusOr<std::string> text = ReadConfigText(path);
    if (text.ok()) {
      AddFile(path, *text);
      return;
    }
    problems_.Add(include.where, absl::StrCat("include \"", include.text, "\": ", path, ": ",
                                              text.status().message()));
  }

  void AddChange(const Change& change) {
    const std::string& text = change.text;
    const int source = problems_.AddSource(change.place, "", /*is_file=*/false);
    Location where;
    where.source = source;
    const size_t equals = text.find('=');
    if (equals == std::string::npos) {
      return problems_.Add(where, "expected PATH=VALUE, as in moe.top_k=2");
    }
    const absl::string_view path =
        absl::StripAsciiWhitespace(absl::string_view(text).substr(0, equals));
    if (path == "include") {
      return problems_.Add(where, "include has no effect here: it belongs into a file");
    }
    const int num_texts_before = provenance_.num_texts();
    binder_.BindOverride(path, absl::string_view(text).substr(equals + 1), source);
    choices_.Record(config_, provenance_, num_texts_before, where);
  }

  LoadedConfig Finish() {
    LoadedConfig loaded;
    ClearWithoutEffect(config_);
    ResolveDefaults(DefaultName(), config_);
    loaded.options = Translate(config_);
    loaded.resolved_text = ResolvedText(config_);
    loaded.hash = HashToHex(Xxh3(loaded.resolved_text));
    loaded.experiment = IdentityOf(config_);
    loaded.files = files_;
    loaded.overrides = request_.overrides;
    return loaded;
  }

  // The file's name without folder and extension, made fit for a directory.
  std::string DefaultName() const {
    std::string name = fs::path(request_.path).stem().string();
    for (char& c : name) {
      if (!absl::ascii_isalnum(c) && c != '-' && c != '_' && c != '.') c = '-';
    }
    constexpr size_t kLongest = 100;
    name.resize(std::min(name.size(), kLongest));
    const bool legal = !name.empty() && absl::ascii_isalnum(name.front());
    return legal ? name : absl::StrCat("run", name).substr(0, kLongest);
  }

  const LoadRequest& request_;
  ProblemList problems_;
  Provenance provenance_{Location{}};
  config::RunConfig config_;
  Binder binder_;
  ChoiceWatch choices_;
  std::vector<std::string> files_;
  std::vector<std::string> open_;  // the files being read, outermost first
};

}  // namespace

absl::StatusOr<LoadedConfig> LoadConfig(const LoadRequest& request) {
  return Loader(request).Run();
}

}  // namespace equipoise::launcher
