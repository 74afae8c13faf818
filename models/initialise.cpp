#include "models/initialise.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <span>

#include "engine/random_orthogonal.h"
#include "kernels/philox.h"

namespace ab {
namespace {

// Two standard normals per Philox call (Box and Muller, 1958); element i of parameter number p is a
// pure function of (seed, p, i).
void fill_normal(std::span<float> values, uint64_t seed, uint64_t parameter) {
  const size_t count = values.size();
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < count; i += 2) {
    const Random4 random = philox(seed, parameter, i / 2);
    const double radius = std::sqrt(-2.0 * std::log((random.x + 1.0) / 4294967296.0));
    const double angle = 2.0 * std::numbers::pi * (random.y / 4294967296.0);
    values[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < count) values[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
}

void make_default(std::span<float> values, const Shape& shape) {
  if (shape.rank() == 4) {
    const double fan_out = static_cast<double>(shape[0]) * shape[1] * shape[2];
    const float deviation = static_cast<float>(std::sqrt(2.0 / fan_out));
    for (float& value : values) value *= deviation;
  } else {
    for (float& value : values) value = 0.02f * std::clamp(value, -2.0f, 2.0f);
  }
}

// Rows of the 2-D view: out of (out, rest); an embedding (1, T, D) is T rows.
int64_t rows_of(const Parameter& p) {
  return p.role == Role::kEmbedding ? p.shape.rows() : p.shape[0];
}

void fill_parameter(const Parameter& p, Initialisation kind, uint64_t seed, uint64_t number,
                    std::span<float> values) {
  if (p.shape.rank() < 2) {
    const bool scale = p.role == Role::kNorm && p.name.ends_with(".weight");
    std::fill(values.begin(), values.end(), scale ? 1.0f : 0.0f);
    return;
  }
  if (kind == Initialisation::kOrthogonal)
    return random_orthogonal(seed, number, rows_of(p), p.shape.elements() / rows_of(p),
                             values.data());
  fill_normal(values, seed, number);
  make_default(values, p.shape);
}

}  // namespace

void initialise(Model& model, Initialisation kind, uint64_t seed) {
  ParameterStore& store = model.store();
  Device& device = store.device();
  const auto write = [&](const Parameter& p, const std::function<void(std::span<float>)>& fill) {
    device.runtime().write(device.stream(), p.value.data(), p.value.bytes(), [&](void* values) {
      fill({static_cast<float*>(values), static_cast<size_t>(p.shape.elements())});
    });
  };
  const auto constant = [&](const Parameter& p, float value) {
    write(p, [=](std::span<float> values) { std::fill(values.begin(), values.end(), value); });
  };
  const auto& zeros = model.zero_scales();
  uint64_t number = 0;
  for (const Parameter& p : store.parameters()) {
    ++number;
    if (!p.present) continue;
    if (std::find(zeros.begin(), zeros.end(), &p) != zeros.end())
      constant(p, 0.0f);
    else
      write(p, [&](std::span<float> values) { fill_parameter(p, kind, seed, number, values); });
  }
  for (const Parameter& buffer : store.buffers())
    constant(buffer, buffer.name.ends_with(".running_var") ? 1.0f : 0.0f);
  store.refresh_compute(device.stream());
}

}  // namespace ab
