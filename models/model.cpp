#include "models/model.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/patterns.h"
#include "models/resnet.h"
#include "models/vgg.h"
#include "models/vit.h"

namespace ab {

std::unique_ptr<Model> make_model(const ModelSettings& settings, ParameterStore& store) {
  const std::string& name = settings.name;
  if (name == "vgg16") return std::make_unique<Vgg16>(settings, store);
  if (name.starts_with("resnet")) return std::make_unique<ResNet>(settings, store);
  if (name == "vit" || name == "mini-vit")
    return std::make_unique<VisionTransformer>(settings, store);
  throw ConfigError("model.name '" + name +
                    "' is unknown; known are vgg16, resnet18, resnet34, resnet50, vit, mini-vit");
}

std::vector<FactoredWeight*> factorable_weights(const Model& model,
                                                const std::vector<std::string>& exclude) {
  std::vector<FactoredWeight*> chosen;
  for (FactoredWeight* weight : model.weights())
    if (weight->role() == Role::kWeight && !matches_any_pattern(weight->name(), exclude))
      chosen.push_back(weight);
  return chosen;
}

int64_t scaled_channels(int64_t channels, double width) {
  return std::max<int64_t>(1, std::llround(channels * width));
}

}  // namespace ab
