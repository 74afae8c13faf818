// Layout changes are permutations of one kind: rows of (taps, channels) become rows of (channels,
// taps), taps = kh * kw. A dense convolution has `out` such rows, the inner factor of a factored
// one has k; anything else is copied.
#include "tools/train/weights.h"

#include <set>

#include "engine/error.h"

namespace ab {
namespace {

struct Layout {
  int64_t rows = 0, taps = 1, channels = 0;
};

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

const Parameter* find_parameter(const ParameterStore& store, const std::string& name) {
  for (const Parameter& parameter : store.parameters()) {
    if (parameter.name == name) return &parameter;
  }
  return nullptr;
}

Layout layout_of(const ParameterStore& store, const Parameter& parameter) {
  const Shape& shape = parameter.shape;
  if (shape.rank() == 4) return {shape[0], shape[1] * shape[2], shape[3]};
  Layout plain{1, 1, shape.elements()};
  if (!ends_with(parameter.name, ".A") && !ends_with(parameter.name, ".B")) return plain;
  const std::string base = parameter.name.substr(0, parameter.name.size() - 2);
  const Parameter* dense = find_parameter(store, base);
  if (!dense || dense->shape.rank() != 4) return plain;
  // A is the larger factor: the inner one where the matrix has fewer rows than columns.
  const bool a_is_inner = dense->shape[0] < dense->shape.elements() / dense->shape[0];
  if (ends_with(parameter.name, a_is_inner ? ".B" : ".A")) return plain;
  return {shape[0], dense->shape[1] * dense->shape[2], dense->shape[3]};
}

// to[row][j][i] = from[row][i][j] for each row of (from_rows, from_columns).
void transpose_rows(const float* from, float* to, int64_t rows, int64_t from_rows,
                    int64_t from_columns) {
  const int64_t size = from_rows * from_columns;
  for (int64_t row = 0; row < rows; ++row, from += size, to += size) {
    for (int64_t i = 0; i < from_rows; ++i) {
      for (int64_t j = 0; j < from_columns; ++j) to[j * from_rows + i] = from[i * from_columns + j];
    }
  }
}

// "missing: a, b, c and 4 more"
void list(std::string& text, const char* kind, const std::vector<std::string>& items) {
  constexpr size_t kShown = 4;
  if (items.empty()) return;
  text += std::string("; ") + kind + ": ";
  for (size_t i = 0; i < items.size() && i < kShown; ++i) text += (i ? ", " : "") + items[i];
  if (items.size() > kShown) text += " and " + std::to_string(items.size() - kShown) + " more";
}

std::vector<Parameter*> held_parameters(ParameterStore& store) {
  std::vector<Parameter*> held;
  for (Parameter& parameter : store.parameters()) {
    if (parameter.present) held.push_back(&parameter);
  }
  for (Parameter& buffer : store.buffers()) held.push_back(&buffer);
  return held;
}

void check(const std::vector<Parameter*>& held, const SafetensorsFile& file,
           const std::string& prefix) {
  std::vector<std::string> missing, unexpected, wrong;
  std::set<std::string> wanted;
  for (const Parameter* parameter : held) {
    const std::string name = prefix + parameter->name;
    wanted.insert(name);
    const SafetensorsEntry* entry = file.find(name);
    if (!entry) {
      missing.push_back(name);
      continue;
    }
    const std::vector<int64_t> shape = file_shape(*parameter);
    if (entry->shape != shape) {
      wrong.push_back(name + " " + shape_text(entry->shape) + ", the model has " +
                      shape_text(shape));
    } else if (entry->dtype != DType::kFloat32 && entry->dtype != DType::kBFloat16) {
      wrong.push_back(name + " is " + name_of(entry->dtype) + ", fp32 and bf16 are read");
    }
  }
  for (const SafetensorsEntry& entry : file.entries()) {
    if (entry.name.compare(0, prefix.size(), prefix) != 0 || wanted.count(entry.name)) continue;
    if (!ends_with(entry.name, "num_batches_tracked")) unexpected.push_back(entry.name);
  }
  std::string problems;
  list(problems, "missing", missing);
  list(problems, "unexpected", unexpected);
  list(problems, "wrong", wrong);
  if (!problems.empty()) {
    throw DataError(file.path() + ": the weights are not those of this model" + problems);
  }
}

}  // namespace

std::vector<int64_t> file_shape(const Parameter& parameter) {
  const Shape& shape = parameter.shape;
  if (shape.rank() == 4) return {shape[0], shape[3], shape[1], shape[2]};
  std::vector<int64_t> extents;
  for (int i = 0; i < shape.rank(); ++i) extents.push_back(shape[i]);
  return extents;
}

void download(ParameterStore& store, const Parameter& parameter, const Tensor& tensor, float* to) {
  Device& device = store.device();
  const Layout layout = layout_of(store, parameter);
  if (layout.taps == 1) {
    device.runtime().copy_to_host(device.stream(), to, tensor.data(), tensor.bytes());
    return;
  }
  std::vector<float> held(static_cast<size_t>(tensor.elements()));
  device.runtime().copy_to_host(device.stream(), held.data(), tensor.data(), tensor.bytes());
  transpose_rows(held.data(), to, layout.rows, layout.taps, layout.channels);
}

void upload(ParameterStore& store, const Parameter& parameter, const Tensor& tensor,
            const std::vector<float>& values) {
  if (static_cast<int64_t>(values.size()) != tensor.elements()) {
    throw DataError(parameter.name + ": " + std::to_string(values.size()) + " values for " +
                    tensor.shape().text());
  }
  Device& device = store.device();
  const Layout layout = layout_of(store, parameter);
  std::vector<float> held;
  if (layout.taps != 1) {
    held.resize(values.size());
    transpose_rows(values.data(), held.data(), layout.rows, layout.channels, layout.taps);
  }
  const std::vector<float>& source = layout.taps == 1 ? values : held;
  device.runtime().copy_to_device(device.stream(), tensor.data(), source.data(), tensor.bytes());
  // The host memory goes away when this returns.
  device.runtime().synchronize(device.stream());
}

std::vector<SafetensorsSource> weight_sources(ParameterStore& store, const std::string& prefix) {
  std::vector<SafetensorsSource> sources;
  for (Parameter* parameter : held_parameters(store)) {
    sources.push_back({prefix + parameter->name, DType::kFloat32, file_shape(*parameter),
                       [&store, parameter](void* to) {
                         download(store, *parameter, parameter->value, static_cast<float*>(to));
                       }});
  }
  return sources;
}

Metadata with_shapes(const ParameterStore& store, Metadata noted) {
  for (const Parameter& parameter : store.parameters()) {
    if (parameter.present || parameter.shape.rank() != 4) continue;
    std::string& text = noted[kShapeKey + parameter.name];
    for (const int64_t extent : file_shape(parameter))
      text += (text.empty() ? "" : " ") + std::to_string(extent);
  }
  return noted;
}

void save_weights(ParameterStore& store, const std::string& path, const Metadata& metadata) {
  write_safetensors(path, weight_sources(store), with_shapes(store, metadata));
}

void load_weights(ParameterStore& store, const SafetensorsFile& file, const std::string& prefix) {
  const std::vector<Parameter*> held = held_parameters(store);
  check(held, file, prefix);
  for (Parameter* parameter : held) {
    upload(store, *parameter, parameter->value,
           file.read_floats(*file.find(prefix + parameter->name)));
  }
  store.refresh_compute(store.device().stream());
}

void load_weights(ParameterStore& store, const std::string& path) {
  load_weights(store, SafetensorsFile(path));
}

}  // namespace ab
