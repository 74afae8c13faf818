#include "tools/train/convert_command.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <sstream>

#include "distributed/launch.h"
#include "engine/error.h"
#include "engine/gemm.h"
#include "tools/train/pytorch_names.h"
#include "tools/train/safetensors.h"
#include "tools/train/weights.h"
#include "tools/train/weights_file.h"

namespace ab {
namespace {

using Floats = std::vector<float>;

constexpr const char* kTorchvisionBias = ".self_attention.in_proj_bias";

// Two matrices whose product in either order may be a weight; see weights.h for which is which.
struct FactorPair {
  const SafetensorsEntry *outer, *inner;
  int64_t rows() const { return outer->shape[0]; }
  int64_t rank() const { return outer->shape[1]; }
  int64_t columns() const { return inner->shape[1]; }
};

class Converter {
 public:
  Converter(const SafetensorsFile& file, const Options& options)
      : file_(file), keep_factors_(options.factors) {
    std::vector<std::string> names;
    for (const SafetensorsEntry& entry : file.entries()) names.push_back(entry.name);
    vgg_ = is_vgg(names);
    from_ = style_of(names);
    to_ = options.names == "torchvision" ? NameStyle::kTorchvision : NameStyle::kTimm;
  }

  std::vector<SafetensorsSource> sources() {
    std::vector<SafetensorsSource> result;
    for (const SafetensorsEntry& entry : file_.entries()) {
      if (entry.name.ends_with("num_batches_tracked") || is_zero_bias(entry)) continue;
      if (entry.dtype != DType::kFloat32 && entry.dtype != DType::kBFloat16)
        throw DataError(file_.path() + ": " + entry.name + " is " + name_of(entry.dtype) +
                        "; fp32 and bf16 weights are converted");
      if (!keep_factors_ && entry.name.ends_with(".B") && partner(entry, ".A")) continue;
      const bool factored = entry.name.ends_with(".A") && partner(entry, ".B");
      factored_ += factored;
      result.push_back(factored && !keep_factors_ ? product(entry) : plain(entry));
      if (to_ == NameStyle::kTorchvision) add_zero_bias(result);
    }
    return result;
  }

  int factored() const { return factored_; }

  // Of the factored convolutions that stay factored, so that the output can be multiplied later.
  Metadata metadata() const {
    Metadata kept;
    for (const auto& [key, value] : file_.metadata())
      if (keep_factors_ && key.starts_with(kShapeKey))
        kept[kShapeKey + renamed({key.substr(std::string(kShapeKey).size()), {}}).name] = value;
    return kept;
  }

 private:
  NamedShape renamed(const NamedShape& tensor) const {
    if (from_ == to_) return tensor;
    return to_ == NameStyle::kTimm ? to_timm(tensor, vgg_) : to_torchvision(tensor, vgg_);
  }

  const SafetensorsEntry* partner(const SafetensorsEntry& entry, const char* ending) const {
    return file_.find(entry.name.substr(0, entry.name.size() - 2) + ending);
  }

  bool is_zero_bias(const SafetensorsEntry& entry) const {
    if (!entry.name.ends_with(kTorchvisionBias)) return false;
    const Floats values = file_.read_floats(entry);
    if (std::any_of(values.begin(), values.end(), [](float v) { return v != 0.0f; }))
      throw DataError(file_.path() + ": " + entry.name +
                      " is not zero, and this ViT has no bias on q, k, v; weights trained without "
                      "one would work");
    return true;
  }

  void add_zero_bias(std::vector<SafetensorsSource>& result) const {
    const SafetensorsSource& weight = result.back();
    const size_t end = weight.name.find("in_proj_weight");
    if (end == std::string::npos || weight.name.ends_with(".B")) return;
    // The rows of q, k and v: of W, or of its outer factor A (a qkv has more rows than columns).
    const int64_t rows = weight.shape[0];
    result.push_back(
        {weight.name.substr(0, end) + "in_proj_bias", DType::kFloat32, {rows}, [rows](void* to) {
           std::fill_n(static_cast<float*>(to), rows, 0.0f);
         }});
  }

  SafetensorsSource plain(const SafetensorsEntry& entry) const {
    const NamedShape named = renamed({entry.name, entry.shape});
    return {named.name, DType::kFloat32, named.shape, [this, &entry](void* to) {
              const Floats values = file_.read_floats(entry);
              std::copy(values.begin(), values.end(), static_cast<float*>(to));
            }};
  }

  FactorPair factors_of(const SafetensorsEntry& a) const {
    const SafetensorsEntry& b = *partner(a, ".B");
    if (a.shape.size() == 2 && b.shape.size() == 2) {
      if (a.shape[1] == b.shape[0]) return {&a, &b};
      if (b.shape[1] == a.shape[0]) return {&b, &a};
    }
    throw DataError(file_.path() + ": " + a.name + " " + shape_text(a.shape) + " and " + b.name +
                    " " + shape_text(b.shape) + " are no factors of one matrix");
  }

  // (out, in) of a matrix, (out, in, kh, kw) where the file notes a convolution's shape.
  std::vector<int64_t> product_shape(const std::string& name, const FactorPair& factors) const {
    std::vector<int64_t> shape = {factors.rows(), factors.columns()};
    const auto noted = file_.metadata().find(kShapeKey + name);
    if (noted == file_.metadata().end()) return shape;
    std::istringstream text(noted->second);
    std::vector<int64_t> full;
    int64_t columns = 1;
    for (int64_t extent = 0; text >> extent;) full.push_back(extent);
    for (size_t i = 1; i < full.size(); ++i) columns *= full[i];
    if (full.empty() || full[0] != shape[0] || columns != shape[1])
      throw DataError(file_.path() + ": " + name + " is noted as " + shape_text(full) +
                      ", but its factors make " + shape_text(shape));
    return full;
  }

  SafetensorsSource product(const SafetensorsEntry& a) {
    const FactorPair factors = factors_of(a);
    const std::string name = a.name.substr(0, a.name.size() - 2);
    const NamedShape named = renamed({name, product_shape(name, factors)});
    return {named.name, DType::kFloat32, named.shape,
            [this, factors](void* to) { multiply_out(factors, static_cast<float*>(to)); }};
  }

  void multiply_out(const FactorPair& f, float* to) {
    const auto tensor = [&](int64_t rows, int64_t columns) {
      return Tensor(arena_, {rows, columns}, DType::kFloat32);
    };
    const Stream stream = device_->stream();
    {
      const Tensor outer = tensor(f.rows(), f.rank()), inner = tensor(f.rank(), f.columns());
      const Tensor whole = tensor(f.rows(), f.columns());
      const Floats left = file_.read_floats(*f.outer), right = file_.read_floats(*f.inner);
      device_->runtime().copy_to_device(stream, outer.data(), left.data(), outer.bytes());
      device_->runtime().copy_to_device(stream, inner.data(), right.data(), inner.bytes());
      multiply(arena_, stream, outer, false, inner, false, whole);
      device_->runtime().copy_to_host(stream, to, whole.data(), whole.bytes());
    }
    arena_.end_step();
    arena_.reset();  // the next weight has another shape
  }

  const SafetensorsFile& file_;
  bool keep_factors_, vgg_ = false;
  NameStyle from_ = NameStyle::kTimm, to_ = NameStyle::kTimm;
  int factored_ = 0;
  std::unique_ptr<Device> device_ = Device::create(DeviceKind::kHost, 0, default_threads(1));
  Arena arena_{*device_};
};

}  // namespace

int convert_command(const Options& options) {
  const SafetensorsFile file(weights_file(options.in, "--in"));
  Converter converter(file, options);
  const std::vector<SafetensorsSource> sources = converter.sources();
  if (options.factors && converter.factored() == 0)
    throw ConfigError("--factors: " + file.path() +
                      " holds no factored weight; leave the flag out, or give a checkpoint from "
                      "inside a group phase");
  write_safetensors(options.out, sources, converter.metadata());
  std::printf("%s: %zu tensors under %s's names, %d factored weights %s\n", options.out.c_str(),
              sources.size(), options.names.c_str(), converter.factored(),
              options.factors ? "kept as A and B" : "multiplied out");
  return 0;
}

}  // namespace ab
