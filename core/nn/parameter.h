#ifndef EQUIPOISE_CORE_NN_PARAMETER_H_
#define EQUIPOISE_CORE_NN_PARAMETER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/device/device.h"
#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"
#include "core/tensor/tensor.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// Who holds a copy of a parameter, hence over whom its gradient is summed.
enum class ParameterGroup : uint8_t {
  kReplicated,  // every rank of the world
  kExpert,      // the ranks that hold the same experts
};
inline constexpr int kNumParameterGroups = 2;

enum class Init : uint8_t { kNormal, kOnes, kZeros };

// A tensor as checkpoints name it. A parameter's storage is one or more of them, back to back:
// the fused [E_r, 2F, H] of a rank's experts is E_r gate and E_r up projections.
struct LogicalTensor {
  std::string name;  // Hugging Face's name, for example "model.layers.0.mlp.gate.weight"
  Shape shape;
};

struct ParameterSpec {
  Shape shape;
  ParameterGroup group = ParameterGroup::kReplicated;
  bool decay = true;
  Init init = Init::kNormal;
  double init_stddev = 0.02;
  // In storage order; their elements add up to the shape's.
  std::vector<LogicalTensor> parts;
};

// A trainable array: a window into the registry's flat buffers.
class Parameter {
 public:
  explicit Parameter(ParameterSpec spec) : spec_(std::move(spec)) {}
  const ParameterSpec& spec() const { return spec_; }
  // Valid after ParameterRegistry::Allocate.
  TensorView value() const { return value_; }
  TensorView gradient() const { return gradient_; }
  // Elements before this parameter in its group's flat buffers.
  int64_t offset() const { return offset_; }
  int64_t num_elements() const { return spec_.shape.num_elements(); }

 private:
  friend class ParameterRegistry;
  ParameterSpec spec_;
  TensorView value_;
  TensorView gradient_;
  int64_t offset_ = 0;
};

// All parameters of a rank's model. Modules declare them in forward order; Allocate lays them out,
// per group, in one flat buffer of values and one of gradients, in REVERSE order of declaration, so
// that the backward pass completes the gradient buffer from its front and a bucket can travel
// while earlier layers still compute. Not thread-safe; owns all storage; the device outlives it.
class ParameterRegistry {
 public:
  ParameterRegistry() = default;

  // REQUIRES: Allocate was not called; the parts' elements add up to the shape's.
  // The pointer is stable for the registry's life.
  Parameter* Declare(ParameterSpec spec);

  // Lays out and zeroes the buffers, each padded to a multiple of `alignment[group]` elements.
  absl::Status Allocate(Device& device, DType dtype,
                        const int64_t (&alignment)[kNumParameterGroups]);

  // Draws initial values. Element i of a logical tensor is a function of (seed, name, i): the same
  // whoever owns it.
  void Initialize(Device& device, uint64_t seed);

  // The flat buffers [n], padding included.
  TensorView values(ParameterGroup group);
  TensorView gradients(ParameterGroup group);
  // In declaration order.
  const std::vector<std::unique_ptr<Parameter>>& parameters() const { return parameters_; }
  // Elements without padding.
  int64_t num_elements(ParameterGroup group) const;

 private:
  struct Group {
    Tensor values;
    Tensor gradients;
    int64_t num_elements = 0;
  };
  std::vector<std::unique_ptr<Parameter>> parameters_;
  Group groups_[kNumParameterGroups];
  bool allocated_ = false;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_NN_PARAMETER_H_
