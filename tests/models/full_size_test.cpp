// The paper's models at full size against PyTorch in float64 (make_full_size.py). Weights, images
// and labels are formulas that both sides fill in; recorded are the loss, all logits, and of every
// parameter's gradient g the norm and two sums under drawn signs: an error e of the gradient moves
// such a sum by about |e|, a normal variable of that deviation.
//
// Bounds, from fp32 alone. A sum of n terms is off by some sqrt(n) roundings of random sign, and
// the layers of a network follow one another: results stay within rounding = 2^-24 sqrt(sum of n)
// of themselves. Gradients run through it twice, and four deviations are allowed: 4 sqrt(2)
// rounding |g|. Where there are ReLUs, an input nearer to zero than its error may fall on the other
// side; at a relative error of 2^-20 that is 2^-20 x 0.8 of normally distributed inputs, of the
// half that passes twice that; every one is an entry of a gradient lost or won, and the squares add
// up over the ReLUs in sequence: 4 sqrt(1.6 x 2^-20 x ReLUs) |g|.
#include <array>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/ops/loss.h"
#include "kernels/philox.h"
#include "models/model.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"
#include "tools/train/weights.h"

using namespace ab;

namespace {

using Floats = std::vector<float>;
using Json = nlohmann::json;

// 64-bit FNV-1a of a name: the key of its numbers.
uint64_t key_of(const std::string& name) {
  uint64_t value = 0xCBF29CE484222325u;
  for (const char c : name) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return value;
}

// visit(i, word i % 4 of Philox at counter i / 4) for begin <= i < end; begin a multiple of 4.
template <class Visit>
void visit_words(uint64_t key, int64_t begin, int64_t end, const Visit& visit) {
  for (int64_t i = begin; i < end; i += 4) {
    const Random4 r = philox(key, 0, static_cast<uint64_t>(i / 4));
    const uint32_t drawn[4] = {r.x, r.y, r.z, r.w};
    for (int64_t j = 0; j < 4 && i + j < end; ++j) visit(i + j, drawn[j]);
  }
}

constexpr int64_t kChunk = 1 << 16;  // entries that one thread takes at a time

// offset + scale x (uniform in [-1, 1)): no rounding but that of the product, or of the sum where
// the scale is a power of two.
Floats numbers(const std::string& name, int64_t count, float scale, float offset = 0.0f) {
  Floats out(static_cast<size_t>(count));
  const uint64_t key = key_of(name);
#pragma omp parallel for
  for (int64_t begin = 0; begin < count; begin += kChunk)
    visit_words(key, begin, std::min(begin + kChunk, count), [&](int64_t i, uint32_t word) {
      out[i] = offset + scale * (2.0f * uniform(word) - 1.0f);
    });
  return out;
}

// What `formula` of make_full_size.py gives.
Floats formula(const Parameter& p) {
  const int rank = p.shape.rank();
  const int64_t count = p.shape.elements();
  if (rank == 2 || rank == 4)
    return numbers(p.name, count, static_cast<float>(std::sqrt(6.0 / (count / p.shape[0]))));
  if (rank != 1 || !p.name.ends_with("weight")) return numbers(p.name, count, 0.25f);
  const float last = p.name.ends_with("bn3.weight") ? 0.25f : 1.0f;
  return numbers(p.name, count, 0.5f * last, last);
}

// The norm of a gradient and its two sums under the signs of make_full_size.py.
using Sums = std::array<double, 3>;

Sums sums_of(const std::string& name, const Floats& gradient) {
  const int64_t count = static_cast<int64_t>(gradient.size());
  const uint64_t key = key_of("signs of " + name);
  std::vector<Sums> parts(static_cast<size_t>((count + kChunk - 1) / kChunk));
#pragma omp parallel for
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    Sums sums{};
    visit_words(key, begin, std::min(begin + kChunk, count), [&](int64_t i, uint32_t word) {
      const double g = gradient[i];
      sums[0] += g * g;
      sums[1] += word & 1 ? -g : g;
      sums[2] += word & 2 ? -g : g;
    });
    parts[begin / kChunk] = sums;
  }
  Sums whole{};
  for (const Sums& part : parts)
    for (size_t i = 0; i < whole.size(); ++i) whole[i] += part[i];
  whole[0] = std::sqrt(whole[0]);
  return whole;
}

Json recorded() {
  std::ifstream file(AB_SOURCE_DIR "/tests/models/references/full_size.json");
  return Json::parse(file);
}

ModelSettings settings_of(const std::string& name, const Json& sizes) {
  ModelSettings settings;
  settings.name = name;
  settings.classes = sizes.at("classes");
  settings.image = sizes.at("image");
  settings.depth = sizes.value("depth", settings.depth);
  settings.dim = sizes.value("dim", settings.dim);
  settings.heads = sizes.value("heads", settings.heads);
  settings.patch = sizes.value("patch", settings.patch);
  return settings;
}

// Terms of the sums, one layer after another.
double terms_in_sequence(const Model& model) {
  double terms = 0.0;
  for (const FactoredWeight* weight : model.weights()) terms += static_cast<double>(weight->in());
  return terms;
}

class FullSize {
 public:
  FullSize(const std::string& name, const Json& expected)
      : model_(make_model(settings_of(name, expected.at("settings")), store_)) {
    store_.layout();
    for (const Parameter& p : store_.parameters())
      if (p.present) upload(store_, p, p.value, formula(p));
    for (const Parameter& statistic : store_.buffers())
      device_->runtime().zero(device_->stream(), statistic.value.data(), statistic.value.bytes());
    store_.refresh_compute(device_->stream());
    place_batch(expected.at("batch"), expected.at("settings").at("image"),
                expected.at("settings").at("classes"));
  }

  // One training step; the gradients stay in the store.
  void step(Floats& logits, Floats& loss) {
    Tape tape;
    Context context(*device_, arena_);
    context.tape = &tape;
    context.training = true;
    {
      const Tensor out = model_->forward(context, images_);
      const Tensor mean = cross_entropy(context, out, labels_, 0.1f);
      logits = fetch(out), loss = fetch(mean);
    }
    tape.backward();
    arena_.end_step();
  }

  Model& model() { return *model_; }
  ParameterStore& store() { return store_; }

 private:
  Floats fetch(const Tensor& tensor) {
    Floats values(tensor.elements());
    device_->runtime().copy_to_host(device_->stream(), values.data(), tensor.data(),
                                    tensor.bytes());
    device_->runtime().synchronize(device_->stream());
    return values;
  }

  template <class T>
  Tensor place(Buffer& memory, const std::vector<T>& values, const Shape& shape, DType dtype) {
    memory = Buffer(*device_, values.size() * sizeof(T));
    device_->runtime().copy_to_device(device_->stream(), memory.data(), values.data(),
                                      memory.bytes());
    device_->runtime().synchronize(device_->stream());
    return Tensor(memory.data(), shape, dtype);
  }

  // Numbered as PyTorch numbers them, (N, C, H, W); held as (N, H, W, C).
  void place_batch(int64_t count, int64_t side, int classes) {
    const int64_t pixels = side * side;
    const Floats planes = numbers("images", count * 3 * pixels, 2.0f);
    Floats held(planes.size());
    std::vector<int32_t> labels;
    for (int64_t n = 0; n < count; ++n) {
      labels.push_back(static_cast<int32_t>((3 + 5 * n) % classes));
      for (int64_t c = 0; c < 3; ++c)
        for (int64_t p = 0; p < pixels; ++p)
          held[(n * pixels + p) * 3 + c] = planes[(n * 3 + c) * pixels + p];
    }
    images_ = place(images_memory_, held, {count, side, side, 3}, DType::kFloat32);
    labels_ = place(labels_memory_, labels, {count}, DType::kInt32);
  }

  std::unique_ptr<Device> device_ = Device::create(test_device());
  ParameterStore store_{*device_, DType::kFloat32};
  Arena arena_{*device_};
  std::unique_ptr<Model> model_;
  Buffer images_memory_, labels_memory_;
  Tensor images_, labels_;
};

double relative_error(const Floats& found, const Json& expected) {
  REQUIRE(found.size() == expected.size());
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < found.size(); ++i) {
    difference += std::pow(found[i] - expected[i].get<double>(), 2);
    norm += std::pow(expected[i].get<double>(), 2);
  }
  return std::sqrt(difference / norm);
}

}  // namespace

TEST_CASE("at full size, too, a model computes what PyTorch computes", "[full_size]") {
#if defined(AB_STANDIN)
  if (test_device() == DeviceKind::kCuda) {  // the words are those that ctest counts as skipped
    WARN("no GPU can be used: the stand-ins' products are plain loops, hours for these models");
    return;
  }
#endif
  const auto [name, relus] = GENERATE(
      table<std::string, int>({{"vit", 0}, {"resnet50", 49}, {"vgg16", 15}, {"mini-vit", 0}}));
  INFO(name);
  const Json expected = recorded().at(name);
  FullSize net(name, expected);
  const double rounding = std::pow(2.0, -24) * std::sqrt(terms_in_sequence(net.model()));
  Floats logits, loss;
  net.step(logits, loss);
  CHECK(relative_error(logits, expected.at("logits")) < rounding);
  CHECK(loss[0] == Approx(expected.at("loss").get<double>()).epsilon(rounding));

  const double turned = 1.6 * std::pow(2.0, -20) * relus;
  const double bound = 4.0 * std::sqrt(2.0 * rounding * rounding + turned);
  size_t gradients = 0;
  for (const Parameter& p : net.store().parameters()) {
    if (!p.present) continue;
    INFO(p.name);
    const Json& sums = expected.at("gradients").at(p.name);
    Floats gradient(static_cast<size_t>(p.shape.elements()));
    download(net.store(), p, p.gradient, gradient.data());
    const Sums found = sums_of(p.name, gradient);
    for (size_t i = 0; i < found.size(); ++i)
      CHECK(std::abs(found[i] - sums[i].get<double>()) <= bound * sums[0].get<double>());
    ++gradients;
  }
  CHECK(gradients == expected.at("gradients").size());
}
