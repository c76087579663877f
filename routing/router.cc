#include "routing/router.h"

#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace equipoise::routing {

void Router::AddToExpertInput(const Context&, const RouterInput&, const RouterOutput&,
                              ConstTensorView, TensorView) const {
  EQ_CHECK(false) << "router " << kind() << " adds nothing to the experts' input";
}

std::vector<Segment> Router::sum_segments() const { return {{"sums", num_statistics()}}; }

std::vector<Segment> Router::state_segments() const {
  return {{"state", static_cast<int64_t>(state().size())}};
}

absl::Status Router::SetState(std::span<const double> state) {
  if (state.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("router ", kind(), " has no state, but ",
                                                 state.size(), " values of it are given"));
}

void Router::EndStep(const Context&, std::span<const double>, int64_t) {}

RouterFigures Router::Figures(std::span<const double>) const { return {}; }

}  // namespace equipoise::routing
