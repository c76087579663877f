#include "routing/jitter.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace equipoise::routing {

InputJitter::InputJitter(double amplitude, const RouterOptions& options)
    : amplitude_(amplitude),
      draws_(StreamKey(options.seed, absl::StrCat("router.jitter.", options.layer))) {}

void InputJitter::Multiply(const Context& context, const RouterInput& input, int64_t first,
                           ConstTensorView in, bool accumulate, TensorView out) const {
  (void)context;
  EQ_CHECK_EQ(in.shape(), out.shape());
  const uint64_t hidden = static_cast<uint64_t>(in.dim(1));
  const uint64_t begin = static_cast<uint64_t>(input.first_token + first) * hidden;
  DispatchFloat(in.dtype(), [&]<typename T>() {
    const auto from = in.cpu<T>();
    const auto to = out.cpu<T>();
    std::array<uint32_t, 4> words = {};
    for (size_t i = 0; i < from.size(); ++i) {
      const uint64_t element = begin + i;
      if (i == 0 || element % 4 == 0) {
        words = draws_.Words(element / 4, static_cast<uint64_t>(input.step));
      }
      const double uniform = words[element % 4] * 0x1p-32;
      const T factor = static_cast<T>(1.0 + amplitude_ * (2.0 * uniform - 1.0));
      to[i] = (accumulate ? to[i] : T{0}) + factor * from[i];
    }
  });
}

}  // namespace equipoise::routing
