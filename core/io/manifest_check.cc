// The comparison of a checkpoint with the model that wants to load it.

#include <algorithm>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/io/manifest.h"

namespace equipoise {
namespace {

constexpr size_t kMaxNamed = 10;

// Appends "3 tensors missing: a, b, c" for what `tensors` lists; nothing for none.
void AddList(const std::vector<std::string>& tensors, const char* what,
             std::vector<std::string>& problems) {
  if (tensors.empty()) return;
  std::string text =
      absl::StrCat(tensors.size(), tensors.size() == 1 ? " tensor " : " tensors ", what, ": ");
  const size_t num_named = std::min(tensors.size(), kMaxNamed);
  absl::StrAppend(&text, absl::StrJoin(tensors.begin(),
                                       tensors.begin() + static_cast<ptrdiff_t>(num_named), ", "));
  if (num_named < tensors.size()) absl::StrAppend(&text, ", ...");
  problems.push_back(std::move(text));
}

std::string FigureOrAbsent(const std::map<std::string, int64_t>& figures, const std::string& name) {
  const auto found = figures.find(name);
  return found != figures.end() ? absl::StrCat(found->second) : std::string("absent");
}

void CompareModels(const std::map<std::string, int64_t>& checkpoint,
                   const std::map<std::string, int64_t>& wanted,
                   std::vector<std::string>& problems) {
  if (wanted.empty()) return;
  std::map<std::string, int64_t> all = checkpoint;
  all.insert(wanted.begin(), wanted.end());
  std::vector<std::string> differing;
  for (const auto& [name, unused] : all) {
    const std::string there = FigureOrAbsent(checkpoint, name);
    const std::string here = FigureOrAbsent(wanted, name);
    if (there != here) {
      differing.push_back(absl::StrCat(name, " is ", there, " there and ", here, " here"));
    }
  }
  if (!differing.empty()) {
    problems.push_back(
        absl::StrCat("it was written by another model: ", absl::StrJoin(differing, ", ")));
  }
}

}  // namespace

absl::Status CheckComplete(const Manifest& manifest, const std::map<std::string, int64_t>& model,
                           std::span<const ExpectedTensor> expected, const std::string& label) {
  std::unordered_map<std::string, const SafetensorsSpec*> unmatched;
  std::vector<std::string> twice, missing, unexpected, misshaped;
  for (const ManifestTensor& tensor : manifest.tensors) {
    if (!unmatched.emplace(tensor.spec.name, &tensor.spec).second) {
      twice.push_back(tensor.spec.name);
    }
  }
  for (const ExpectedTensor& tensor : expected) {
    const auto found = unmatched.find(tensor.name);
    if (found == unmatched.end()) {
      missing.push_back(tensor.name);
      continue;
    }
    const std::vector<int64_t>& shape = found->second->shape;
    if (shape != tensor.shape) {
      misshaped.push_back(absl::StrCat(tensor.name, " is ", ShapeToString(shape), " there and ",
                                       ShapeToString(tensor.shape), " here"));
    }
    unmatched.erase(found);
  }
  for (const auto& [name, unused] : unmatched) unexpected.push_back(name);
  std::sort(unexpected.begin(), unexpected.end());

  std::vector<std::string> problems;
  CompareModels(manifest.model, model, problems);
  AddList(missing, "missing", problems);
  AddList(unexpected, "unexpected", problems);
  AddList(misshaped, "of another shape", problems);
  AddList(twice, "there twice", problems);
  if (problems.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "checkpoint '", label, "' does not fit: ", absl::StrJoin(problems, "; "),
      "; give model.* and moe.* the values of the run that wrote it, or start afresh with "
      "checkpoint.resume: \"never\""));
}

}  // namespace equipoise
