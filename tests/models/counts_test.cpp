// Sizes that must come out: parameters, bytes of a full gradient, and what AB-training may factor
// (method.md, sections 3 and 8). On the dry device: a full-size model needs no memory.
#include "engine/device.h"
#include "models/model.h"
#include "tests/catch.h"

using namespace ab;

namespace {

struct Expected {
  ModelSettings settings;
  int64_t parameters, gradient_bytes;
  size_t layers;
  int64_t factorable;
};

ModelSettings sized(const char* name, int classes, int image) {
  ModelSettings settings;
  settings.name = name;
  settings.classes = classes;
  settings.image = image;
  return settings;
}

ModelSettings mini_vit() {
  ModelSettings settings = sized("mini-vit", 100, 32);
  settings.patch = 8;
  settings.depth = 6;
  settings.heads = 6;
  return settings;
}

int64_t present_elements(const ParameterStore& store) {
  int64_t count = 0;
  for (const Parameter& parameter : store.parameters())
    if (parameter.present) count += parameter.shape.elements();
  return count;
}

}  // namespace

TEST_CASE("models have the paper's sizes", "[counts]") {
  const Expected cases[] = {
      {sized("vit", 1000, 224), 86'540'008, 346'160'032, 48, 84'934'656},
      {sized("resnet50", 1000, 224), 25'557'032, 102'228'128, 52, 23'445'504},
      {sized("vgg16", 10, 32), 134'301'514, 537'206'056, 14, 134'246'400},
      {mini_vit(), 42'753'892, 171'015'568, 24, 42'467'328},
  };
  for (const Expected& expected : cases) {
    INFO(expected.settings.name);
    const auto device = Device::create(DeviceKind::kDry);
    ParameterStore store(*device, DType::kFloat32);
    const auto model = make_model(expected.settings, store);
    store.layout();
    CHECK(present_elements(store) == expected.parameters);
    CHECK(store.trainable_elements() == expected.parameters);
    CHECK(static_cast<int64_t>(store.gradients().bytes()) == expected.gradient_bytes);
    const auto weights = factorable_weights(*model, {});
    int64_t factorable = 0;
    for (const FactoredWeight* weight : weights) factorable += weight->shape().elements();
    CHECK(weights.size() == expected.layers);
    CHECK(factorable == expected.factorable);
  }
}

TEST_CASE("resnet18 has torchvision's size, and half of every width a quarter", "[counts]") {
  const auto count = [](double width) {
    const auto device = Device::create(DeviceKind::kDry);
    ParameterStore store(*device, DType::kFloat32);
    ModelSettings settings = sized("resnet18", 1000, 224);
    settings.width = width;
    const auto model = make_model(settings, store);
    return present_elements(store);
  };
  CHECK(count(1.0) == 11'689'512);
  // Per channel count c at full width: 3x3 and 1x1 filters shrink by 4, the stem's 64*3*49 = 9,408,
  // the norms' 2*4,800 = 9,600 and the classifier's 512*1000 by 2, the 1,000 biases stay.
  const int64_t filters = 11'689'512 - 9'408 - 9'600 - 512'000 - 1'000;
  CHECK(count(0.5) == filters / 4 + (9'408 + 9'600 + 512'000) / 2 + 1'000);
}

TEST_CASE("a pattern takes layers out of the factorable ones", "[counts]") {
  const auto device = Device::create(DeviceKind::kDry);
  ParameterStore store(*device, DType::kFloat32);
  const auto model = make_model(mini_vit(), store);
  // Six blocks of qkv, proj, fc1, fc2: without qkv 18 are left.
  CHECK(factorable_weights(*model, {"*qkv*"}).size() == 18);
}

TEST_CASE("statistics of batch norms are buffers", "[counts]") {
  const auto device = Device::create(DeviceKind::kDry);
  ParameterStore store(*device, DType::kFloat32);
  const auto model = make_model(sized("resnet50", 1000, 224), store);
  store.layout();
  // 53 norms; their channels are half of the 53,120 gammas and betas.
  CHECK(store.buffers().size() == 106);
  CHECK(store.buffer_values().elements() == 53'120);
}
