// The models against PyTorch. make_references.py computed each file in float64 from weights and
// images that are fp32: logits in evaluation mode; then one training step's logits, loss, gradients
// and running statistics. Here everything is fp32. The bounds are relative L2 errors: 1e-4, for
// gradients 1e-3.
#include <cmath>

#include "engine/ops/loss.h"
#include "models/model.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"
#include "tools/train/weights.h"

using namespace ab;

namespace {

using Floats = std::vector<float>;

constexpr double kResultBound = 1e-4, kGradientBound = 1e-3;

double relative_error(const Floats& found, const Floats& expected) {
  REQUIRE(found.size() == expected.size());
  double difference = 0.0, norm = 0.0;
  for (size_t i = 0; i < found.size(); ++i) {
    difference += std::pow(static_cast<double>(found[i]) - expected[i], 2);
    norm += std::pow(static_cast<double>(expected[i]), 2);
  }
  REQUIRE(norm > 0.0);
  return std::sqrt(difference / norm);
}

ModelSettings settings_of(const Metadata& metadata) {
  ModelSettings settings;
  const auto set = [&](const char* key, int& value) {
    if (metadata.count(key)) value = std::stoi(metadata.at(key));
  };
  settings.name = metadata.at("name");
  set("classes", settings.classes);
  set("image", settings.image);
  set("depth", settings.depth);
  set("dim", settings.dim);
  set("heads", settings.heads);
  set("patch", settings.patch);
  if (metadata.count("width")) settings.width = std::stod(metadata.at("width"));
  return settings;
}

// A model with a reference's weights and its batch on a device.
class Reference {
 public:
  explicit Reference(const std::string& name)
      : file_(AB_SOURCE_DIR "/tests/models/references/" + name + ".safetensors"),
        model_(make_model(settings_of(file_.metadata()), store_)) {
    store_.layout();
    load_weights(store_, file_, "weights.");
    place_batch();
  }

  // Relative error of a tensor on the device against the file's.
  double error(const std::string& name, const Tensor& tensor) {
    Floats found(tensor.elements());
    device_->runtime().copy_to_host(device_->stream(), found.data(), tensor.data(), tensor.bytes());
    return relative_error(found, expected(name));
  }
  // The same for a parameter's gradient or a buffer, in PyTorch's layout.
  double error(const std::string& prefix, const Parameter& parameter, const Tensor& tensor) {
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    download(store_, parameter, tensor, values.data());
    return relative_error(values, expected(prefix + parameter.name));
  }

  Context context(Tape* tape, bool training) {
    Context context(*device_, arena_);
    context.tape = tape;
    context.training = training;
    return context;
  }
  Arena& arena() { return arena_; }
  Model& model() { return *model_; }
  ParameterStore& store() { return store_; }
  const Tensor& images() const { return images_; }
  const Tensor& labels() const { return labels_; }

 private:
  Floats expected(const std::string& name) {
    const SafetensorsEntry* entry = file_.find(name);
    REQUIRE(entry != nullptr);
    Floats values(entry->bytes() / sizeof(float));
    file_.read(*entry, values.data());
    return values;
  }

  // (N, C, H, W) in the file, (N, H, W, C) here.
  void place_batch() {
    const std::vector<int64_t>& shape = file_.find("images")->shape;
    const int64_t count = shape[0], channels = shape[1], pixels = shape[2] * shape[3];
    const Floats planes = expected("images");
    Floats held(planes.size());
    for (int64_t n = 0; n < count; ++n)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t p = 0; p < pixels; ++p)
          held[(n * pixels + p) * channels + c] = planes[(n * channels + c) * pixels + p];
    images_memory_ = Buffer(*device_, held.size() * sizeof(float));
    images_ = Tensor(images_memory_.data(), {count, shape[2], shape[3], channels}, DType::kFloat32);
    device_->runtime().copy_to_device(device_->stream(), images_.data(), held.data(),
                                      images_.bytes());
    std::vector<int32_t> labels(count);
    file_.read(file_.expect("labels", DType::kInt32, {count}), labels.data());
    labels_memory_ = Buffer(*device_, labels.size() * sizeof(int32_t));
    labels_ = Tensor(labels_memory_.data(), {count}, DType::kInt32);
    device_->runtime().copy_to_device(device_->stream(), labels_.data(), labels.data(),
                                      labels_.bytes());
    device_->runtime().synchronize(device_->stream());
  }

  SafetensorsFile file_;
  std::unique_ptr<Device> device_ = Device::create(test_device());
  ParameterStore store_{*device_, DType::kFloat32};
  Arena arena_{*device_};
  std::unique_ptr<Model> model_;
  Buffer images_memory_, labels_memory_;
  Tensor images_, labels_;
};

}  // namespace

TEST_CASE("a model computes what PyTorch computes", "[reference]") {
  const std::string name = GENERATE("vgg16", "vgg16_64px", "resnet18", "resnet50", "vit");
  INFO(name);
  Reference reference(name);
  {
    Context context = reference.context(nullptr, false);
    const Tensor logits = reference.model().forward(context, reference.images());
    CHECK(reference.error("eval_logits", logits) < kResultBound);
  }
  reference.arena().end_step();

  Tape tape;
  Context context = reference.context(&tape, true);
  {
    const Tensor logits = reference.model().forward(context, reference.images());
    CHECK(reference.error("logits", logits) < kResultBound);
    const Tensor loss = cross_entropy(context, logits, reference.labels(), 0.1f);
    CHECK(reference.error("loss", loss) < kResultBound);
  }
  tape.backward();
  size_t gradients = 0;
  for (const Parameter& parameter : reference.store().parameters()) {
    if (!parameter.present) continue;
    INFO(parameter.name);
    CHECK(reference.error("gradients.", parameter, parameter.gradient) < kGradientBound);
    ++gradients;
  }
  CHECK(gradients >= 32);  // vgg16: 16 layers with weight and bias
  for (const Parameter& buffer : reference.store().buffers()) {
    INFO(buffer.name);
    CHECK(reference.error("updated.", buffer, buffer.value) < kResultBound);
  }
  reference.arena().end_step();
}
