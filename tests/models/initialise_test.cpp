// Initial weights, and where a network drops paths.
#include "models/initialise.h"

#include <cmath>
#include <map>

#include "tests/catch.h"
#include "tests/device_under_test.h"
#include "tools/train/weights.h"

using namespace ab;

namespace {

struct Built {
  explicit Built(const ModelSettings& settings) : model(make_model(settings, store)) {
    store.layout();
  }

  std::vector<float> values(const Parameter& p) {
    std::vector<float> held(static_cast<size_t>(p.shape.elements()));
    device->runtime().copy_to_host(device->stream(), held.data(), p.value.data(), p.value.bytes());
    device->runtime().synchronize(device->stream());
    return held;
  }

  std::unique_ptr<Device> device = Device::create(test_device());
  ParameterStore store{*device, DType::kFloat32};
  std::unique_ptr<Model> model;
};

ModelSettings small(const std::string& name) {
  ModelSettings settings;
  settings.name = name;
  settings.classes = 7;
  settings.width = 0.125;
  settings.dim = 24;
  settings.heads = 3;
  settings.depth = 2;
  settings.patch = 8;
  return settings;
}

// Largest entry of |W W^T - 1| (or of W^T W, whichever is smaller) over a rows x columns view.
double distance_from_orthogonal(const std::vector<float>& w, int64_t rows, int64_t columns) {
  const int64_t n = std::min(rows, columns), length = std::max(rows, columns);
  const int64_t step = rows <= columns ? columns : 1, along = rows <= columns ? 1 : columns;
  double worst = 0.0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = i; j < n; ++j) {
      double sum = i == j ? -1.0 : 0.0;
      for (int64_t l = 0; l < length; ++l)
        sum += static_cast<double>(w[i * step + l * along]) * w[j * step + l * along];
      worst = std::max(worst, std::abs(sum));
    }
  return worst;
}

}  // namespace

TEST_CASE("orthogonal: all singular values 1, embeddings included", "[initialise]") {
  const std::string name = GENERATE("vit", "resnet50", "vgg16");
  CAPTURE(name);
  Built built(small(name)), other(small(name));
  initialise(*built.model, Initialisation::kOrthogonal, 5);
  initialise(*other.model, Initialisation::kOrthogonal, 6);
  int matrices = 0, zero_scales = 0;
  auto second = other.store.parameters().begin();
  for (const Parameter& p : built.store.parameters()) {
    const Parameter& twin = *second++;
    if (!p.present) continue;  // factors
    const auto values = built.values(p), others = other.values(twin);
    INFO(p.name);
    if (p.shape.rank() >= 2) {
      const int64_t rows = p.name == "pos_embed" ? p.shape[1] : p.shape[0];
      CHECK(distance_from_orthogonal(values, rows, p.shape.elements() / rows) < 1e-5);
      CHECK(values != others);  // another seed
      ++matrices;
    } else {
      const bool scale = p.role == Role::kNorm && p.name.ends_with("weight");
      const bool last = name == "resnet50" && p.name.ends_with("bn3.weight");
      CHECK(values == std::vector<float>(values.size(), scale && !last ? 1.0f : 0.0f));
      zero_scales += last;
    }
  }
  const std::map<std::string, int> expected = {{"vit", 12}, {"resnet50", 54}, {"vgg16", 16}};
  CHECK(matrices == expected.at(name));
  CHECK(zero_scales == (name == "resnet50" ? 16 : 0));
}

TEST_CASE("drop path grows linearly over the blocks, per sample, and keeps the mean",
          "[initialise]") {
  // Only one block has a branch that is not zero: the bias of its second MLP layer. A sample's
  // logits are then one of two vectors, with the branch (scaled by 1 / (1 - rate)) or without.
  ModelSettings settings = small("vit");
  settings.depth = 4;
  settings.drop_path = 0.6;
  settings.image = 8;
  constexpr int64_t kSamples = 2000;
  for (int block = 0; block < 4; ++block) {
    Built built(settings);
    initialise(*built.model, Initialisation::kOrthogonal, 1);
    for (const Parameter& p : built.store.parameters()) {
      const bool branch =
          p.name.ends_with("attn.proj.weight") || p.name.ends_with("mlp.fc2.weight");
      const bool chosen = p.name == "blocks." + std::to_string(block) + ".mlp.fc2.bias";
      if (!branch && !chosen) continue;
      std::vector<float> values(static_cast<size_t>(p.shape.elements()), 0.0f);
      for (size_t i = 0; chosen && i < values.size(); ++i) values[i] = i % 2 ? 0.5f : -0.25f;
      upload(built.store, p, p.value, values);
    }
    built.store.refresh_compute(built.device->stream());
    Arena arena(*built.device);
    Context context(*built.device, arena);
    context.training = true;
    context.random = {3, 0};
    const Tensor images = context.make({kSamples, 8, 8, 3});
    built.device->runtime().zero(context.stream, images.data(), images.bytes());
    const Tensor logits = built.model->forward(context, images);
    std::vector<float> found(static_cast<size_t>(logits.elements()));
    built.device->runtime().copy_to_host(context.stream, found.data(), logits.data(),
                                         logits.bytes());
    built.device->runtime().synchronize(context.stream);
    std::map<std::vector<float>, int> kinds;
    for (int64_t n = 0; n < kSamples; ++n)
      ++kinds[std::vector<float>(found.begin() + n * 7, found.begin() + (n + 1) * 7)];
    const double dropped = 0.2 * block;  // 0.6 x block / 3
    INFO("block " << block << ", " << kinds.size() << " kinds of logits");
    REQUIRE(kinds.size() == (block == 0 ? 1 : 2));
    if (block == 0) continue;
    const double first = kinds.begin()->second / static_cast<double>(kSamples);
    // Which of the two is the dropped one is not told: either share must fit; sigma below 0.0112.
    CHECK(std::min(std::abs(first - dropped), std::abs(1.0 - first - dropped)) < 0.056);
  }
}
