// Weights in files: PyTorch's layouts worked out by hand, factors whose product is the dense
// weight, round trips to the bit, and files of another model.
#include "tools/train/weights.h"

#include <numeric>

#include "engine/error.h"
#include "layers/factored_weight.h"
#include "tests/catch.h"
#include "tests/train/scratch_folder.h"

using namespace ab;

namespace {

using Floats = std::vector<float>;

// One convolution 3 -> out with a 1x2 filter, a linear layer with bias, a running mean.
struct SmallNet {
  std::unique_ptr<Device> device = Device::create(DeviceKind::kHost);
  ParameterStore store{*device, DType::kFloat32};
  Network network{store, {}};
  FactoredWeight filter;
  Parameter& linear;
  Parameter& mean;

  explicit SmallNet(int64_t out, int64_t rank = 0)
      : filter(network, "conv.weight", {out, 1, 2, 3}, Role::kWeight),
        linear(store.add("fc.weight", {2, 3}, Role::kClassifier)),
        mean(store.add_buffer("bn.running_mean", {2})) {
    if (rank > 0) filter.become_factored(rank);
    store.layout();
  }

  // As they lie in memory, not in a file's order.
  void set(const Parameter& parameter, const Floats& values) {
    REQUIRE(values.size() * sizeof(float) == parameter.value.bytes());
    device->runtime().copy_to_device(device->stream(), parameter.value.data(), values.data(),
                                     parameter.value.bytes());
  }
  Floats get(const Parameter& parameter) {
    Floats values(parameter.value.elements());
    device->runtime().copy_to_host(device->stream(), values.data(), parameter.value.data(),
                                   parameter.value.bytes());
    return values;
  }
};

Floats counted(size_t count, float first) {
  Floats values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

Floats read(const SafetensorsFile& file, const char* name, const std::vector<int64_t>& shape) {
  const SafetensorsEntry& entry = file.expect(name, DType::kFloat32, shape);
  Floats values(entry.bytes() / 4);
  file.read(entry, values.data());
  return values;
}

// a (m, k) times b (k, n)
Floats product(const Floats& a, const Floats& b, int64_t m, int64_t k, int64_t n) {
  Floats c(m * n, 0.0f);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t l = 0; l < k; ++l)
      for (int64_t j = 0; j < n; ++j) c[i * n + j] += a[i * k + l] * b[l * n + j];
  return c;
}

std::string refusal(SmallNet& net, const std::string& path) {
  try {
    load_weights(net.store, path);
  } catch (const DataError& error) {
    return error.what();
  }
  return "loaded";
}

}  // namespace

TEST_CASE("a convolution is written (out, in, kh, kw)", "[weights]") {
  const ScratchFolder folder;
  SmallNet net(2);
  // w[o, r, s, i] = 100 o + 10 s + i
  net.set(net.filter.dense(), {0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112});
  net.set(net.linear, {1, 2, 3, 4, 5, 6});
  net.set(net.mean, {7, 8});
  save_weights(net.store, folder / "w", {{"model", "small"}});
  const SafetensorsFile file(folder / "w");
  CHECK(file.metadata().at("model") == "small");
  CHECK(file.entries().size() == 3);
  CHECK(read(file, "conv.weight", {2, 3, 1, 2}) ==
        Floats{0, 10, 1, 11, 2, 12, 100, 110, 101, 111, 102, 112});
  CHECK(read(file, "fc.weight", {2, 3}) == Floats{1, 2, 3, 4, 5, 6});
  CHECK(read(file, "bn.running_mean", {2}) == Floats{7, 8});
}

TEST_CASE("the product of written factors is the written weight", "[weights]") {
  const ScratchFolder folder;
  // The matrix is out x 6: with 4 rows A is the inner factor, with 8 the outer one.
  const int64_t out = GENERATE(4, 8), k = 2;
  SmallNet factored(out, k), dense(out);
  const Floats outer = counted(out * k, -3), inner = counted(k * 6, 1);
  factored.set(factored.filter.outer(), outer);
  factored.set(factored.filter.inner(), inner);
  dense.set(dense.filter.dense(), product(outer, inner, out, k, 6));
  save_weights(factored.store, folder / "factors");
  save_weights(dense.store, folder / "dense");
  const SafetensorsFile file(folder / "factors");
  CHECK(file.find("conv.weight") == nullptr);
  const bool a_is_inner = out < 6;
  const Floats written_outer = read(file, a_is_inner ? "conv.weight.B" : "conv.weight.A", {out, k});
  const Floats written_inner = read(file, a_is_inner ? "conv.weight.A" : "conv.weight.B", {k, 6});
  CHECK(written_inner == Floats{1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12});
  CHECK(product(written_outer, written_inner, out, k, 6) ==
        read(SafetensorsFile(folder / "dense"), "conv.weight", {out, 3, 1, 2}));

  SmallNet again(out, k);
  load_weights(again.store, folder / "factors");
  CHECK(again.get(again.filter.outer()) == outer);
  CHECK(again.get(again.filter.inner()) == inner);
}

TEST_CASE("weights come back as they were, under a prefix too, and from bf16", "[weights]") {
  const ScratchFolder folder;
  SmallNet net(2), again(2);
  net.set(net.filter.dense(), counted(12, 0.1f));
  net.set(net.linear, {1, 2, 3, 4, 5, 6});
  net.set(net.mean, {7, 8});
  std::vector<SafetensorsSource> sources = weight_sources(net.store, "model.");
  const int64_t step = 5;
  sources.push_back(source_of("step", DType::kInt64, {}, &step));
  sources.push_back(source_of("model.bn.num_batches_tracked", DType::kInt64, {}, &step));
  write_safetensors(folder / "w", sources);
  load_weights(again.store, SafetensorsFile(folder / "w"), "model.");
  CHECK(again.get(again.filter.dense()) == counted(12, 0.1f));
  CHECK(again.get(again.linear) == Floats{1, 2, 3, 4, 5, 6});
  CHECK(again.get(again.mean) == Floats{7, 8});

  const uint16_t halves[] = {0x3f80, 0xc000, 0x3f00, 0, 0, 0};  // 1, -2, 0.5
  sources = weight_sources(net.store);
  for (SafetensorsSource& source : sources)
    if (source.name == "fc.weight")
      source = source_of("fc.weight", DType::kBFloat16, {2, 3}, halves);
  write_safetensors(folder / "b", sources);
  load_weights(again.store, folder / "b");
  CHECK(again.get(again.linear) == Floats{1, -2, 0.5f, 0, 0, 0});
}

TEST_CASE("a file of another model is refused with the names", "[weights]") {
  const ScratchFolder folder;
  SmallNet net(2);
  net.set(net.linear, {1, 2, 3, 4, 5, 6});
  const float memory[24] = {};
  write_safetensors(folder / "w", {source_of("conv.weight", DType::kFloat32, {2, 1, 2, 3}, memory),
                                   source_of("fc.weight", DType::kFloat64, {2, 3}, memory),
                                   source_of("fc.bias", DType::kFloat32, {2}, memory)});
  const std::string message = refusal(net, folder / "w");
  INFO(message);
  CHECK(message.find("missing: bn.running_mean") != std::string::npos);
  CHECK(message.find("unexpected: fc.bias") != std::string::npos);
  CHECK(message.find("conv.weight (2, 1, 2, 3), the model has (2, 3, 1, 2)") != std::string::npos);
  CHECK(message.find("fc.weight is fp64, fp32 and bf16 are read") != std::string::npos);
  CHECK(net.get(net.linear) == Floats{1, 2, 3, 4, 5, 6});

  std::vector<SafetensorsSource> many = weight_sources(net.store);
  for (const char* name : {"u1", "u2", "u3", "u4", "u5", "u6"})
    many.push_back(source_of(name, DType::kFloat32, {1}, memory));
  write_safetensors(folder / "many", many);
  const std::string listed = refusal(net, folder / "many");
  CHECK(listed.find("unexpected: u1, u2, u3, u4 and 2 more") != std::string::npos);
  CHECK(listed.find("missing") == std::string::npos);

  SmallNet factored(2, 1);
  write_safetensors(folder / "dense", weight_sources(net.store));
  CHECK(refusal(factored, folder / "dense").find("missing: conv.weight.A, conv.weight.B") !=
        std::string::npos);
}
