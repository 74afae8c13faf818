// abtrain convert: names of both libraries, round trips to the bit, factors multiplied out.
#include <set>

#include "engine/error.h"
#include "models/initialise.h"
#include "tests/catch.h"
#include "tests/train/scratch_folder.h"
#include "tools/train/convert_command.h"
#include "tools/train/weights.h"

using namespace ab;
#if defined(AB_CATCH2_V3)
using Contains = Catch::Matchers::ContainsSubstring;
#else
using Catch::Matchers::Contains;
#endif

namespace {

struct Net {
  explicit Net(const ModelSettings& settings) : model(make_model(settings, store)) {
    store.layout();
    initialise(*model, Initialisation::kDefault, 3);
  }
  // Every eligible weight factored at `rank`, with values that differ.
  void factor(int64_t rank) {
    for (FactoredWeight* weight : factorable_weights(*model, {})) weight->become_factored(rank);
    store.layout();
    float next = 0.0f;
    for (const Parameter& p : store.parameters()) {
      if (!p.present) continue;
      std::vector<float> values(static_cast<size_t>(p.shape.elements()));
      for (float& value : values) value = std::sin(next += 1.0f);
      upload(store, p, p.value, values);
    }
  }

  std::unique_ptr<Device> device = Device::create(DeviceKind::kHost, 0, 1);
  ParameterStore store{*device, DType::kFloat32};
  std::unique_ptr<Model> model;
};

ModelSettings settings_of(const std::string& name) {
  ModelSettings settings;
  settings.name = name;
  settings.classes = 5;
  settings.image = name == "vgg16" ? 32 : 8;
  settings.width = 0.03;
  settings.dim = 8;
  settings.heads = 2;
  settings.depth = 1;
  settings.patch = 4;
  return settings;
}

Options options_of(const std::string& in, const std::string& out, const std::string& names) {
  Options options;
  options.in = in;
  options.out = out;
  options.names = names;
  return options;
}

std::set<std::string> names_in(const SafetensorsFile& file) {
  std::set<std::string> names;
  for (const SafetensorsEntry& entry : file.entries()) names.insert(entry.name);
  return names;
}

std::vector<float> values_in(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsEntry* entry = file.find(name);
  REQUIRE(entry);
  std::vector<float> values(entry->bytes() / 4);
  file.read(*entry, values.data());
  return values;
}

bool same_tensors(const std::string& a, const std::string& b) {
  const SafetensorsFile first(a), second(b);
  bool same = names_in(first) == names_in(second);
  for (const SafetensorsEntry& entry : first.entries()) {
    const SafetensorsEntry* other = second.find(entry.name);
    same = same && other && other->shape == entry.shape &&
           values_in(first, entry.name) == values_in(second, entry.name);
  }
  return same;
}

}  // namespace

TEST_CASE("a ViT gets torchvision's names, and its own again", "[convert]") {
  ScratchFolder scratch;
  Net net(settings_of("vit"));
  save_weights(net.store, scratch / "timm.safetensors");
  convert_command(
      options_of(scratch / "timm.safetensors", scratch / "tv.safetensors", "torchvision"));
  const SafetensorsFile file(scratch / "tv.safetensors");
  // torchvision.models.VisionTransformer(8, 4, 1, 2, 8, 32, num_classes=5).state_dict().keys()
  const std::string layer = "encoder.layers.encoder_layer_0.";
  const std::set<std::string> expected = {"class_token",
                                          "conv_proj.weight",
                                          "conv_proj.bias",
                                          "encoder.pos_embedding",
                                          layer + "ln_1.weight",
                                          layer + "ln_1.bias",
                                          layer + "self_attention.in_proj_weight",
                                          layer + "self_attention.in_proj_bias",
                                          layer + "self_attention.out_proj.weight",
                                          layer + "self_attention.out_proj.bias",
                                          layer + "ln_2.weight",
                                          layer + "ln_2.bias",
                                          layer + "mlp.0.weight",
                                          layer + "mlp.0.bias",
                                          layer + "mlp.3.weight",
                                          layer + "mlp.3.bias",
                                          "encoder.ln.weight",
                                          "encoder.ln.bias",
                                          "heads.head.weight",
                                          "heads.head.bias"};
  CHECK(names_in(file) == expected);
  CHECK(file.find("conv_proj.weight")->shape == std::vector<int64_t>{8, 3, 4, 4});
  CHECK(values_in(file, layer + "self_attention.in_proj_bias") == std::vector<float>(24, 0.0f));
  CHECK(values_in(file, layer + "mlp.3.weight") ==
        values_in(SafetensorsFile(scratch / "timm.safetensors"), "blocks.0.mlp.fc2.weight"));
  convert_command(options_of(scratch / "tv.safetensors", scratch / "back.safetensors", "timm"));
  CHECK(same_tensors(scratch / "back.safetensors", scratch / "timm.safetensors"));
  load_weights(net.store, scratch / "back.safetensors");
}

TEST_CASE("VGG16's head is a convolution in one library and linear in the other", "[convert]") {
  ScratchFolder scratch;
  Net net(settings_of("vgg16"));
  save_weights(net.store, scratch / "timm.safetensors");
  convert_command(
      options_of(scratch / "timm.safetensors", scratch / "tv.safetensors", "torchvision"));
  const SafetensorsFile file(scratch / "tv.safetensors");
  // 512 and 4096 channels x 0.03 = 15 and 123.
  CHECK(file.find("classifier.0.weight")->shape == std::vector<int64_t>{123, 15 * 49});
  CHECK(file.find("classifier.3.weight")->shape == std::vector<int64_t>{123, 123});
  CHECK(file.find("classifier.6.bias")->shape == std::vector<int64_t>{5});
  CHECK(file.find("features.0.weight")->shape == std::vector<int64_t>{2, 3, 3, 3});
  convert_command(options_of(scratch / "tv.safetensors", scratch / "back.safetensors", "timm"));
  CHECK(same_tensors(scratch / "back.safetensors", scratch / "timm.safetensors"));
}

TEST_CASE("factors are multiplied out to what a dense model loads", "[convert]") {
  const std::string name = GENERATE("resnet50", "vit", "vgg16");
  CAPTURE(name);
  ScratchFolder scratch;
  Net factored(settings_of(name)), dense(settings_of(name));
  factored.factor(2);
  save_weights(factored.store, scratch / "factored.safetensors");
  convert_command(
      options_of(scratch / "factored.safetensors", scratch / "dense.safetensors", "timm"));
  load_weights(dense.store, scratch / "dense.safetensors");  // names and shapes are a dense model's
  const SafetensorsFile file(scratch / "factored.safetensors"), out(scratch / "dense.safetensors");
  int checked = 0;
  for (const SafetensorsEntry& entry : file.entries()) {
    if (!entry.name.ends_with(".A")) continue;
    const std::string base = entry.name.substr(0, entry.name.size() - 2);
    const auto a = values_in(file, entry.name), b = values_in(file, base + ".B");
    const bool a_is_outer = entry.shape[1] == 2;  // no matrix here has a side of 2
    const auto& outer = a_is_outer ? a : b;
    const auto& inner = a_is_outer ? b : a;
    const auto found = values_in(out, base);
    const size_t columns = inner.size() / 2;
    double worst = 0.0;
    for (size_t i = 0; i < found.size(); ++i) {
      const size_t r = i / columns, c = i % columns;
      const double expected = static_cast<double>(outer[2 * r]) * inner[c] +
                              static_cast<double>(outer[2 * r + 1]) * inner[columns + c];
      worst = std::max(worst, std::abs(found[i] - expected));
    }
    INFO(base);
    CHECK(worst < 1e-6);
    ++checked;
  }
  CHECK(checked == (name == "vit" ? 4 : name == "vgg16" ? 14 : 52));

  // Kept as factors, under the other names, and multiplied out from there.
  Options keep =
      options_of(scratch / "factored.safetensors", scratch / "kept.safetensors", "torchvision");
  keep.factors = true;
  convert_command(keep);
  CHECK(SafetensorsFile(scratch / "kept.safetensors").find("fc.weight.A") == nullptr);
  convert_command(options_of(scratch / "kept.safetensors", scratch / "again.safetensors", "timm"));
  CHECK(same_tensors(scratch / "again.safetensors", scratch / "dense.safetensors"));
}

TEST_CASE("what cannot be converted is refused with the reason", "[convert]") {
  ScratchFolder scratch;
  const auto refusal = [](const Options& options) -> std::string {
    try {
      convert_command(options);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "converted";
  };
  Net net(settings_of("vit"));
  const std::string in = scratch / "in.safetensors", out = scratch / "out.safetensors";
  save_weights(net.store, in);
  Options factors = options_of(in, out, "timm");
  factors.factors = true;
  CHECK_THAT(refusal(factors), Contains("--factors") && Contains("no factored weight"));
  CHECK_THAT(refusal(options_of(scratch / "none", out, "timm")),
             Contains("--in") && Contains("no such file"));
  const std::vector<float> bias(24, 0.5f);
  write_safetensors(in, {source_of("encoder.layers.encoder_layer_0.self_attention.in_proj_bias",
                                   DType::kFloat32, {24}, bias.data())});
  CHECK_THAT(refusal(options_of(in, out, "timm")), Contains("in_proj_bias is not zero"));
  write_safetensors(in, {source_of("w.A", DType::kFloat32, {3, 8}, bias.data()),
                         source_of("w.B", DType::kFloat32, {4, 6}, bias.data())});
  CHECK_THAT(refusal(options_of(in, out, "timm")), Contains("w.A") && Contains("no factors"));
  CHECK(!std::filesystem::exists(out));
}
