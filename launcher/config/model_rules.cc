// Rules about the model, its experts, and how they lie on the ranks.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/nn/parameter.h"
#include "launcher/config/links.h"
#include "launcher/config/rule_context.h"
#include "launcher/config/suggest.h"
#include "launcher/config/translate.h"
#include "parallel/expert_exchange.h"
#include "routing/option_problem.h"
#include "routing/router.h"

namespace equipoise::launcher {
namespace {

// The divisor of `number` nearest to `wish`, the larger of equals.
int64_t NearestDivisor(int64_t number, int64_t wish) {
  int64_t best = number;
  for (int64_t divisor = 1; divisor <= number; ++divisor) {
    if (number % divisor != 0) continue;
    if (std::abs(divisor - wish) <= std::abs(best - wish)) best = divisor;
  }
  return best;
}

void CheckHeads(const RuleContext& context) {
  const config::Model& model = context.config.model();
  const int heads = model.num_heads();
  const int kv_heads = model.num_kv_heads();
  if (heads > 0 && kv_heads > 0 && heads % kv_heads != 0 &&
      context.Usable({"model.num_heads", "model.num_kv_heads"})) {
    context.Fail(
        {"model.num_kv_heads", "model.num_heads"},
        absl::StrCat("model.num_kv_heads is ", kv_heads, ", which does not divide the ", heads,
                     " of model.num_heads; did you mean ", NearestDivisor(heads, kv_heads), "?"));
  }
}

void CheckHeadDim(const RuleContext& context) {
  const config::Model& model = context.config.model();
  if (!context.Usable({"model.hidden", "model.num_heads", "model.head_dim"})) return;
  int64_t head_dim = model.head_dim();
  if (head_dim == 0) {
    if (model.num_heads() == 0 || model.hidden() == 0) return;
    if (model.hidden() % model.num_heads() != 0) {
      return context.Fail({"model.num_heads", "model.hidden"},
                          absl::StrCat("model.hidden ", model.hidden(), " is not a multiple of ",
                                       "model.num_heads ", model.num_heads(),
                                       ": change one, or set model.head_dim"));
    }
    head_dim = model.hidden() / model.num_heads();
  }
  if (head_dim % 2 == 0) return;
  context.Fail(
      {"model.head_dim", "model.num_heads", "model.hidden"},
      absl::StrCat("the width of a head is ", head_dim, " (model.head_dim, or hidden / ",
                   "num_heads), but RoPE needs an even one; did you mean ", head_dim + 1, "?"));
}

void CheckDenseLayers(const RuleContext& context) {
  const config::Model& model = context.config.model();
  const int dense = model.num_dense_layers();
  if (context.Usable({"model.num_layers", "model.num_dense_layers"}) && model.num_layers() > 0 &&
      dense > model.num_layers()) {
    context.Fail({"model.num_dense_layers", "model.num_layers"},
                 absl::StrCat("model.num_dense_layers is ", dense, ", more than the ",
                              model.num_layers(), " of model.num_layers"));
  }
  if (!context.Usable({"model.num_dense_layers", "model.dense_width"})) return;
  if (dense > 0 && model.dense_width() == 0) {
    context.Fail({"model.num_dense_layers", "model.dense_width"},
                 "model.dense_width must be set when model.num_dense_layers is not 0");
  }
  if (dense == 0 && model.dense_width() > 0) {
    context.Fail({"model.dense_width", "model.num_dense_layers"},
                 "model.dense_width has no effect: model.num_dense_layers is 0");
  }
}

// Groups of nodes are for the loss, and its share for near nodes is for groups.
void CheckNearNodes(const RuleContext& context) {
  static constexpr char kGroup[] = "moe.locality.nodes_per_group";
  static constexpr char kNear[] = "moe.locality.loss.near";
  const config::Locality& locality = context.config.moe().locality();
  const int group = locality.nodes_per_group();
  if (!context.Usable({kGroup, kNear, "moe.locality.nodes", "moe.locality.loss.coefficient"}))
    return;
  if (locality.loss().coefficient() == 0.0) {
    // Who switches the loss off on the command line need not take out its groups.
    if (group == 0 || context.provenance.TextOf("moe.locality.loss.coefficient") >
                          context.provenance.TextOf(kGroup)) {
      return;
    }
    return context.Fail({kGroup},
                        absl::StrCat(kGroup, " has no effect: moe.locality.loss.coefficient is 0"));
  }
  if (group == 0 && locality.loss().near() > 0.0 &&
      context.provenance.TextOf(kGroup) <= context.provenance.TextOf(kNear)) {
    context.Fail({kNear}, absl::StrCat(kNear, " has no effect: ", kGroup, " is 0"));
  }
  if (locality.nodes() > 0 && group > locality.nodes()) {
    context.Fail({kGroup, "moe.locality.nodes"},
                 absl::StrCat(kGroup, " is ", group, ", more than the ", locality.nodes(),
                              " of moe.locality.nodes"));
  }
}

// A bias that is 0, and stays so.
void CheckBiasMoves(const RuleContext& context) {
  static constexpr char kMode[] = "moe.locality.bias.mode";
  static constexpr char kStrength[] = "moe.locality.bias.strength";
  static constexpr char kLimit[] = "moe.locality.bias.limit";
  const config::LocalityBias& bias = context.config.moe().locality().bias();
  if (!context.Usable({kMode, kStrength, kLimit}) || bias.mode() == config::LocalityBias::NONE) {
    return;
  }
  const bool fixed = bias.mode() == config::LocalityBias::FIXED;
  const char* zero = fixed ? kStrength : kLimit;
  if ((fixed ? bias.strength() : bias.limit()) != 0.0) return;
  context.Fail({zero, kMode}, absl::StrCat(kMode, " ", config::LocalityBias::Mode_Name(bias.mode()),
                                           " has no effect: ", zero, " is 0"));
}

void CheckLocality(const RuleContext& context) {
  const config::RunConfig& config = context.config;
  const int nodes = config.moe().locality().nodes();
  if (context.Usable({"moe.locality.nodes", "batch.sequences"}) &&
      nodes > config.batch().sequences() && config.batch().sequences() > 0) {
    context.Fail({"moe.locality.nodes", "batch.sequences"},
                 absl::StrCat("moe.locality.nodes is ", nodes, ", more than the ",
                              config.batch().sequences(), " of batch.sequences"));
  }
  CheckNearNodes(context);
  CheckBiasMoves(context);
}

// A sequence with fewer blocks than there are groups leaves the experts of some without a token.
void CheckPositionBlocks(const RuleContext& context) {
  const config::TwoLevelHashRouter& router = context.config.moe().router().two_level_hash();
  const int64_t length = context.config.batch().sequence_length();
  const int64_t groups = router.num_groups();
  const std::string block = "moe.router.two_level_hash.position_block";
  if (router.group_key() != config::TwoLevelHashRouter::POSITION || groups < 2 ||
      !context.Usable({"batch.sequence_length", "moe.router"})) {
    return;
  }
  if (router.position_block() <= (length - 1) / (groups - 1)) return;
  const std::string most = absl::StrCat((length - 1) / (groups - 1));
  context.Fail(
      {block, "moe.router.two_level_hash.num_groups", "moe.router.two_level_hash.group_key",
       "batch.sequence_length", "moe.router.two_level_hash", "moe.router"},
      absl::StrCat(block, " is ", router.position_block(), ": a sequence of ", length,
                   " tokens has fewer such blocks than the ", groups,
                   " groups, so some experts would never get a token; it must be at most ", most));
}

void CheckOwners(const RuleContext& context) {
  const config::Layout& layout = context.config.layout();
  const int num_experts = context.config.moe().num_experts();
  if (layout.expert_owner().empty() || !context.Usable({"layout.expert_owner"})) return;
  if (num_experts > 0 && layout.expert_owner_size() != num_experts &&
      context.Usable({"moe.num_experts"})) {
    context.Fail({"layout.expert_owner", "moe.num_experts"},
                 absl::StrCat("layout.expert_owner names ", layout.expert_owner_size(),
                              " owners, but moe.num_experts is ", num_experts));
  }
  if (!context.Usable({"layout.expert_parallel"})) return;
  int owners = layout.expert_parallel();
  if (owners == 0) owners = context.num_ranks.value_or(0);
  if (owners == 0) return;
  for (int e = 0; e < layout.expert_owner_size(); ++e) {
    if (layout.expert_owner(e) < owners) continue;
    context.Fail(
        {absl::StrCat("layout.expert_owner[", e, "]"), "layout.expert_owner",
         "layout.expert_parallel"},
        absl::StrCat("layout.expert_owner gives expert ", e, " to rank ", layout.expert_owner(e),
                     ", but its group has ranks 0 to ", owners - 1));
  }
}

// Above K it would be K, which is for the default value only.
void CheckMinCopies(const RuleContext& context) {
  static constexpr char kPath[] = "moe.router.entropy_adaptive.min_copies";
  const config::Moe& moe = context.config.moe();
  const config::EntropyAdaptiveRouter& router = moe.router().entropy_adaptive();
  if (!router.has_min_copies() || !context.Usable({kPath, "moe.top_k"}) || moe.top_k() == 0) return;
  const int least = router.min_copies();
  if (least <= moe.top_k() || least == config::EntropyAdaptiveRouter().min_copies()) return;
  context.Fail({kPath, "moe.top_k"}, absl::StrCat(kPath, " is ", least, ", more than the ",
                                                  moe.top_k(), " of moe.top_k"));
}

// Of an option as a router calls it (routing/option_problem.h); `router`: the path of its block.
std::string PathOfOption(const std::string& option, const std::string& router) {
  const bool whole = absl::StartsWith(option, "moe.") || absl::StartsWith(option, "model.");
  return whole ? option : JoinPath(router, option);
}

// Where a problem of the router at `router` may have been made: the options that it names, or, if
// nobody wrote any of those, where the router was chosen.
std::vector<std::string> PlacesOf(const routing::OptionProblem& problem, const std::string& router,
                                  const Provenance& provenance) {
  std::vector<std::string> places;
  if (!problem.subject.empty()) places.push_back(PathOfOption(problem.subject, router));
  for (const std::string& other : problem.others) places.push_back(PathOfOption(other, router));
  const bool written = std::any_of(places.begin(), places.end(), [&](const std::string& place) {
    return provenance.IsWritten(place);
  });
  if (places.empty() || (problem.subject.empty() && !written)) places = {router, "moe.router"};
  return places;
}

// Asks the router itself whether its settings go together: this layer knows none of them.
void CheckRouter(const RuleContext& context) {
  const config::RunConfig& config = context.config;
  if (config.model().hidden() < 1 || config.moe().num_experts() < 1 || config.moe().top_k() < 1 ||
      config.moe().top_k() > config.moe().num_experts()) {
    return;
  }
  routing::RouterOptions options = TranslateRouter(config);
  // How many nodes the job has is known when it runs.
  if (options.locality.num_nodes == 0) options.locality.num_nodes = 1;
  const std::string path = "moe.router." + options.kind;
  if (!context.Usable({"model.hidden", "moe.num_experts", "moe.top_k", "moe.router",
                       "moe.balance_loss", "moe.z_loss", "moe.locality"})) {
    return;
  }
  ParameterRegistry parameters;  // declarations only: nothing is allocated
  const auto router = routing::MakeRouter(options, parameters);
  for (const routing::OptionProblem& problem : routing::OptionProblemsOf(router.status())) {
    const std::vector<std::string> places = PlacesOf(problem, path, context.provenance);
    context.Fail(places, problem.subject.empty() ? problem.what
                                                 : absl::StrCat(places.front(), " ", problem.what));
  }
}

void CheckLinks(const RuleContext& context) {
  const config::Links& links = context.config.layout().links();
  const auto both = [&](const char* name, const config::Link& link) {
    const std::string latency = absl::StrCat("layout.links.", name, ".latency");
    const std::string seconds_per_byte = absl::StrCat("layout.links.", name, ".seconds_per_byte");
    if (!context.Usable({latency.c_str(), seconds_per_byte.c_str()})) return;
    if ((link.latency() > 0.0) == (link.seconds_per_byte() > 0.0)) return;
    context.Fail({latency, seconds_per_byte},
                 absl::StrCat(latency, " and ", seconds_per_byte, " must be set together"));
  };
  both("self", links.self());
  both("node", links.node());
  both("remote", links.remote());
  both("far", links.far());
  if (!context.Usable({"layout.links.file"})) return;
  const absl::Status read = ReadLinks(links).status();
  if (!read.ok()) context.Fail({"layout.links.file"}, std::string(read.message()));
}

}  // namespace

void CheckModelRules(const RuleContext& context) {
  CheckHeads(context);
  CheckHeadDim(context);
  CheckDenseLayers(context);
}

void CheckMoeRules(const RuleContext& context) {
  const config::Moe& moe = context.config.moe();
  const config::Model& model = context.config.model();
  const bool has_experts = context.Usable({"model.num_layers", "model.num_dense_layers"}) &&
                           model.num_layers() > model.num_dense_layers();
  auto need = [&](const char* path, int64_t value, const char* meaning) {
    if (value != 0 || !has_experts || !context.Usable({path})) return;
    context.Fail({path}, absl::StrCat(path, " must be set: ", meaning));
  };
  need("moe.num_experts", moe.num_experts(), "the routed experts E of a layer");
  need("moe.top_k", moe.top_k(), "the experts K every token goes to");
  need("moe.expert_width", moe.expert_width(), "the width F of an expert");
  if (moe.num_experts() > 0 && moe.top_k() > moe.num_experts() &&
      context.Usable({"moe.top_k", "moe.num_experts"})) {
    context.Fail({"moe.top_k", "moe.num_experts"},
                 absl::StrCat("moe.top_k is ", moe.top_k(), ", more than the ", moe.num_experts(),
                              " of moe.num_experts"));
  }
  CheckMinCopies(context);
  CheckRouter(context);
  CheckLocality(context);
  CheckPositionBlocks(context);
}

void CheckLayoutRules(const RuleContext& context) {
  const config::Layout& layout = context.config.layout();
  const std::vector<std::string> exchanges = parallel::ExpertExchangeNames();
  if (context.Usable({"layout.exchange"}) &&
      std::find(exchanges.begin(), exchanges.end(), layout.exchange()) == exchanges.end()) {
    context.Fail(
        {"layout.exchange"},
        absl::StrCat("layout.exchange \"", layout.exchange(), "\" is not one of ",
                     absl::StrJoin(exchanges, ", "), DidYouMean(layout.exchange(), exchanges)));
  }
  CheckOwners(context);
  CheckLinks(context);
  const int group = layout.expert_parallel();
  if (!context.num_ranks.has_value() || group == 0) return;
  if (!context.Usable({"layout.expert_parallel"}) || *context.num_ranks % group == 0) return;
  context.Fail(
      {"layout.expert_parallel"},
      absl::StrCat("layout.expert_parallel is ", group, ", which does not divide the ",
                   *context.num_ranks, *context.num_ranks == 1 ? " rank" : " ranks",
                   " of this job; did you mean ", NearestDivisor(*context.num_ranks, group), "?"));
}

}  // namespace equipoise::launcher
