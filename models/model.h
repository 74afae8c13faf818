// Model: a network that maps images to logits, and its factory.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/context.h"
#include "layers/factored_weight.h"

namespace ab {

// Sizes of method.md section 8 are set by the configuration; every one may be changed.
struct ModelSettings {
  std::string name;  // vgg16, resnet18, resnet34, resnet50, vit, mini-vit
  int classes = 10, image = 32, channels = 3;
  double width = 1.0;  // vgg, resnet: factor on every channel count but the classes
  int depth = 12, dim = 768, heads = 12, patch = 16, mlp_ratio = 4;  // vit
  double drop_path = 0.0, dropout = 0.0;
};

class Model {
 public:
  explicit Model(ParameterStore& store) : network_{store, {}} {}
  virtual ~Model() = default;
  Model(const Model&) = delete;

  // images (N, H, W, channels) in context.dtype -> logits (N, classes).
  virtual Tensor forward(Context& context, const Tensor& images) = 0;

  ParameterStore& store() const { return network_.store; }
  // Every weight matrix in registration order, eligible for factoring or not.
  const std::vector<FactoredWeight*>& weights() const { return network_.weights; }
  // Norm scales that start at zero: a residual block then starts as the identity.
  const std::vector<Parameter*>& zero_scales() const { return zero_scales_; }

 protected:
  Network network_;
  std::vector<Parameter*> zero_scales_;
};

// Registers the model's parameters; the caller lays the store out and initialises it.
// Throws ConfigError for a name or size that cannot be.
std::unique_ptr<Model> make_model(const ModelSettings& settings, ParameterStore& store);

// The weights that AB-training may factor: role kWeight, name not matched by a pattern of
// `exclude`.
std::vector<FactoredWeight*> factorable_weights(const Model& model,
                                                const std::vector<std::string>& exclude);

// round(channels * width), at least one.
int64_t scaled_channels(int64_t channels, double width);

}  // namespace ab
