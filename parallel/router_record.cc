#include "parallel/router_record.h"

#include <limits>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "nlohmann/json.hpp"
#include "routing/router.h"

namespace equipoise::parallel {
namespace {

using nlohmann::json;
using routing::Router;
using routing::Segment;

constexpr char kSums[] = "router_statistics";
constexpr char kTokens[] = "router_statistics_tokens";
constexpr char kStates[] = "router_state";
constexpr char kLayout[] = "router_layout";

struct RouterLayout {
  std::string kind;
  std::vector<Segment> sums;
  std::vector<Segment> state;
};

int64_t SizeOf(const std::vector<Segment>& segments) {
  int64_t size = 0;
  for (const Segment& segment : segments) size += segment.size;
  return size;
}

RouterLayout LayoutOf(const Router& router) {
  RouterLayout layout = {router.kind(), router.sum_segments(), router.state_segments()};
  EQ_CHECK_EQ(SizeOf(layout.sums), router.num_statistics()) << "sums of " << layout.kind;
  EQ_CHECK_EQ(SizeOf(layout.state), static_cast<int64_t>(router.state().size()))
      << "state of " << layout.kind;
  return layout;
}

json ToJson(const std::vector<Segment>& segments) {
  json list = json::array();
  for (const Segment& segment : segments) {
    if (segment.size > 0) list.push_back({segment.name, segment.size, segment.meaning});
  }
  return list;
}

// As ToJson writes them; nothing when it did not.
std::optional<std::vector<Segment>> SegmentsFrom(const json& layer, const char* key) {
  const auto list = layer.find(key);
  if (list == layer.end() || !list->is_array()) return std::nullopt;
  std::vector<Segment> segments;
  for (const json& item : *list) {
    if (!item.is_array() || item.size() != 3 || !item[0].is_string() ||
        !item[1].is_number_integer() || !item[2].is_string() || item[1].get<int64_t>() < 1) {
      return std::nullopt;
    }
    segments.push_back(
        {item[0].get<std::string>(), item[1].get<int64_t>(), item[2].get<std::string>()});
  }
  return segments;
}

std::optional<std::vector<RouterLayout>> LayoutsFrom(const json& layers) {
  if (!layers.is_array()) return std::nullopt;
  std::vector<RouterLayout> layouts;
  for (const json& layer : layers) {
    if (!layer.is_object()) return std::nullopt;
    const auto kind = layer.find("kind");
    auto sums = SegmentsFrom(layer, "sums");
    auto state = SegmentsFrom(layer, "state");
    if (kind == layer.end() || !kind->is_string() || !sums.has_value() || !state.has_value()) {
      return std::nullopt;
    }
    layouts.push_back({kind->get<std::string>(), *std::move(sums), *std::move(state)});
  }
  return layouts;
}

// One restoring of a checkpoint's record.
class Restorer {
 public:
  Restorer(const Manifest& manifest, const std::string& path, const Transformer& model,
           const RouterStatistics& statistics)
      : manifest_(manifest),
        path_(path),
        routers_(model.routers()),
        layers_(model.moe_layers()),
        statistics_(statistics) {}

  absl::StatusOr<RestoredRouters> Run() {
    EQ_RETURN_IF_ERROR(ReadRecord());
    const auto layout = manifest_.state.find(kLayout);
    if (layout == manifest_.state.end()) {
      EQ_RETURN_IF_ERROR(TakeAsIs());
      return std::move(restored_);
    }
    const auto layouts = LayoutsFrom(*layout);
    if (!layouts.has_value() || layouts->size() != routers_.size()) return Damaged(kLayout);
    int64_t first = 0;
    for (size_t i = 0; i < routers_.size(); ++i) {
      const RouterLayout& there = (*layouts)[i];
      const int64_t size = SizeOf(there.sums);
      const int64_t all = static_cast<int64_t>(sums_.size());
      if (size > all - first || SizeOf(there.state) != static_cast<int64_t>(states_[i].size())) {
        return Damaged(kLayout);
      }
      TakeSums(i, there, std::span(sums_).subspan(static_cast<size_t>(first)));
      EQ_RETURN_IF_ERROR(TakeState(i, there));
      first += size;
    }
    Warn();
    return std::move(restored_);
  }

 private:
  using Layers = std::vector<int>;

  absl::Status Damaged(const char* key) const {
    return absl::DataLossError(
        absl::StrCat("checkpoint '", path_, "': its manifest's ", key, " cannot be read"));
  }

  template <typename... Args>
  absl::Status Refuse(const Args&... message) const {
    return absl::FailedPreconditionError(
        absl::StrCat("checkpoint '", path_, "' does not fit: ", message...));
  }

  absl::Status ReadRecord() {
    const json& state = manifest_.state;
    const auto sums = state.find(kSums);
    const auto tokens = state.find(kTokens);
    const auto states = state.find(kStates);
    if (sums == state.end() || tokens == state.end() || !tokens->is_number_integer()) {
      return Damaged(kSums);
    }
    if (states == state.end() || !states->is_array() || states->size() != routers_.size()) {
      return Damaged(kStates);
    }
    EQ_ASSIGN_OR_RETURN(sums_, DoublesFromJson(*sums));
    restored_.tokens = tokens->get<int64_t>();
    for (const json& layer : *states) {
      EQ_ASSIGN_OR_RETURN(std::vector<double> values, DoublesFromJson(layer));
      states_.push_back(std::move(values));
    }
    return absl::OkStatus();
  }

  // Of a checkpoint from before segments had names.
  absl::Status TakeAsIs() {
    static constexpr char kAdvice[] =
        ", and it is too old to say what they are of. Go on with the router, losses and biases "
        "that it was saved with; a checkpoint saved by that run can go on with others";
    int64_t size = 0;
    for (size_t i = 0; i < routers_.size(); ++i) {
      size += routers_[i]->num_statistics();
      if (states_[i].size() == routers_[i]->state().size()) continue;
      return Refuse("layer ", layers_[i], " has ", states_[i].size(),
                    " values of its router's state there and ", routers_[i]->state().size(),
                    " here", kAdvice);
    }
    if (size != static_cast<int64_t>(sums_.size())) {
      return Refuse("the routers of all layers have ", sums_.size(), " sums there and ", size,
                    " here", kAdvice);
    }
    restored_.sums = std::move(sums_);
    restored_.states = std::move(states_);
    if (size == 0) return absl::OkStatus();
    restored_.warnings.push_back(absl::StrCat("the checkpoint ", path_,
                                              " is too old to say which router losses its sums ",
                                              "are of: they are read as those of this run's"));
    return absl::OkStatus();
  }

  // `there_sums` begins with the layer's.
  void TakeSums(size_t i, const RouterLayout& there, std::span<const double> there_sums) {
    std::map<std::string, std::pair<Segment, int64_t>> found;
    int64_t first = 0;
    for (const Segment& segment : there.sums) {
      found[segment.name] = {segment, first};
      first += segment.size;
    }
    for (const Segment& here : routers_[i]->sum_segments()) {
      const auto at = found.find(here.name);
      if (at != found.end() && at->second.first.size == here.size &&
          at->second.first.meaning == here.meaning) {
        const auto values = there_sums.subspan(static_cast<size_t>(at->second.second),
                                               static_cast<size_t>(here.size));
        restored_.sums.insert(restored_.sums.end(), values.begin(), values.end());
        continue;
      }
      restored_.sums.insert(restored_.sums.end(), static_cast<size_t>(here.size),
                            std::numeric_limits<double>::quiet_NaN());
      const bool missed = here.size > 0 && here.carried && restored_.tokens > 0 &&
                          statistics_.UsesPreviousStep(static_cast<int>(i));
      if (missed) new_sums_[here.name].push_back(layers_[i]);
    }
  }

  absl::Status TakeState(size_t i, const RouterLayout& there) {
    std::map<std::string, std::pair<Segment, int64_t>> unread;
    int64_t first = 0;
    for (const Segment& segment : there.state) {
      unread[segment.name] = {segment, first};
      first += segment.size;
    }
    // What is not there keeps the value that it begins with.
    std::vector<double> state(routers_[i]->state().begin(), routers_[i]->state().end());
    auto to = state.begin();
    for (const Segment& here : routers_[i]->state_segments()) {
      if (here.size == 0) continue;
      const auto at = unread.find(here.name);
      if (at == unread.end()) {
        new_state_[here.name].push_back(layers_[i]);
        to += here.size;
        continue;
      }
      const Segment& segment = at->second.first;
      if (segment.size != here.size || segment.meaning != here.meaning) {
        return Refuse("layer ", layers_[i], " of router ", there.kind, " has a ", here.name, " of ",
                      segment.size, " values for ", segment.meaning, " there, and of ", here.size,
                      " for ", here.meaning, " here, where it would mean something ",
                      "else. Give the router the settings it was saved with",
                      here.name == "home_bias" ? ", the moe.locality.nodes among them" : "",
                      ", or take the ", here.name, " out");
      }
      const auto from = states_[i].begin() + at->second.second;
      to = std::copy(from, from + here.size, to);
      unread.erase(at);
    }
    for (const auto& [name, segment] : unread) left_out_[name].push_back(layers_[i]);
    restored_.states.push_back(std::move(state));
    return absl::OkStatus();
  }

  static std::string Describe(const std::map<std::string, Layers>& names) {
    return absl::StrJoin(names, ", ", [](std::string* out, const auto& entry) {
      absl::StrAppend(out, entry.first, entry.second.size() == 1 ? " of layer " : " of layers ",
                      absl::StrJoin(entry.second, ", "));
    });
  }

  void Warn() {
    std::vector<std::string> parts;
    if (!new_sums_.empty()) {
      parts.push_back(
          absl::StrCat("has no sums for the losses ", Describe(new_sums_),
                       ": as in a run's first step, they give no gradient in the next"));
    }
    if (!new_state_.empty()) {
      parts.push_back(absl::StrCat("has no ", Describe(new_state_), ", which begins anew"));
    }
    if (!left_out_.empty()) {
      parts.push_back(
          absl::StrCat("has ", Describe(left_out_), ", which this run has not: left out"));
    }
    if (parts.empty()) return;
    restored_.warnings.push_back(
        absl::StrCat("the checkpoint ", path_, " ", absl::StrJoin(parts, "; it ")));
  }

  const Manifest& manifest_;
  const std::string& path_;
  const std::vector<const Router*> routers_;
  const std::vector<int> layers_;
  const RouterStatistics& statistics_;
  std::vector<double> sums_;                 // as in the checkpoint
  std::vector<std::vector<double>> states_;  // the same
  std::map<std::string, Layers> new_sums_;
  std::map<std::string, Layers> new_state_;
  std::map<std::string, Layers> left_out_;
  RestoredRouters restored_;
};

}  // namespace

void RecordRouters(const Transformer& model, const RouterStatistics& statistics,
                   Manifest& manifest) {
  json layouts = json::array();
  json states = json::array();
  for (const Router* router : model.routers()) {
    const RouterLayout layout = LayoutOf(*router);
    layouts.push_back(
        {{"kind", layout.kind}, {"sums", ToJson(layout.sums)}, {"state", ToJson(layout.state)}});
    states.push_back(DoublesToJson(router->state()));
  }
  manifest.state[kSums] = DoublesToJson(statistics.ExportPrevious());
  manifest.state[kTokens] = statistics.previous_tokens();
  manifest.state[kStates] = std::move(states);
  manifest.state[kLayout] = std::move(layouts);
}

absl::Status CheckRouterKinds(const Manifest& manifest, const std::string& path,
                              const Transformer& model) {
  const auto layout = manifest.state.find(kLayout);
  if (layout == manifest.state.end()) return absl::OkStatus();
  const auto layouts = LayoutsFrom(*layout);
  const std::vector<const Router*> routers = model.routers();
  if (!layouts.has_value() || layouts->size() != routers.size()) return absl::OkStatus();
  for (size_t i = 0; i < routers.size(); ++i) {
    const std::string& kind = (*layouts)[i].kind;
    if (kind == routers[i]->kind()) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "checkpoint '", path, "' does not fit: layer ", model.moe_layers()[i], " has the router ",
        kind, " there and ", routers[i]->kind(), " here. Give the run moe.router.", kind,
        ", another checkpoint, or checkpoint.resume=never in a new --run_dir"));
  }
  return absl::OkStatus();
}

absl::StatusOr<RestoredRouters> ReadRouters(const Manifest& manifest, const std::string& path,
                                            const Transformer& model,
                                            const RouterStatistics& statistics) {
  EQ_RETURN_IF_ERROR(CheckRouterKinds(manifest, path, model));
  return Restorer(manifest, path, model, statistics).Run();
}

}  // namespace equipoise::parallel
