#include "tools/train/merge_rules.h"

#include "engine/gemm.h"
#include "kernels/elementwise.h"

namespace ab {

MergeRules::MergeRules(const Config& config, Replica& replica, bool in_groups)
    : replica_(replica),
      mean_of_products_(in_groups && config.ab.merge == "mean_of_products"),
      outer_(config.ab.outer == "nesterov"),
      lr_(static_cast<float>(config.ab.outer_lr)),
      momentum_(static_cast<float>(config.ab.outer_momentum)) {}

// A tensor of that name, zero where it is new.
MergeRules::Kept& MergeRules::keep(std::map<std::string, Kept>& in, const std::string& name,
                                   const Shape& shape) {
  Kept& kept = in[name];
  if (kept.value && kept.value.shape() == shape) return kept;
  kept.memory = Buffer(replica_.device, static_cast<size_t>(shape.elements()) * sizeof(float));
  kept.value = Tensor(kept.memory.data(), shape, DType::kFloat32);
  replica_.device.runtime().zero(replica_.device.stream(), kept.value.data(), kept.value.bytes());
  return kept;
}

void MergeRules::begin_cycle() {
  if (!mean_of_products_ && !outer_) return;
  for (const FactoredWeight* weight : replica_.factorable) {
    if (!weight->factored()) continue;
    for (const Parameter* p : {&weight->a(), &weight->b()})
      replica_.device.runtime().copy(replica_.device.stream(),
                                     keep(begun_, p->name, p->shape).value.data(), p->value.data(),
                                     p->value.bytes());
  }
}

Tensor MergeRules::merged(const FactoredWeight& weight) {
  const Stream stream = replica_.device.stream();
  Arena& arena = replica_.border;
  const Parameter &outer = weight.outer(), &inner = weight.inner();
  const Shape shape{weight.out(), weight.in()};
  Tensor w(arena, shape, DType::kFloat32);
  if (mean_of_products_) {
    multiply(arena, stream, outer.value, false, begun_.at(inner.name).value, false, w);
    multiply(arena, stream, begun_.at(outer.name).value, false, inner.value, false, w, 1.0f);
    scale(stream, DType::kFloat32, w.elements(), w.data(), 0.5f);
  } else {
    multiply(arena, stream, outer.value, false, inner.value, false, w);
  }
  if (!outer_) return w;
  Tensor w0(arena, shape, DType::kFloat32);
  multiply(arena, stream, begun_.at(outer.name).value, false, begun_.at(inner.name).value, false,
           w0);
  step_outer(weight.name(), w, w0);
  return w0;
}

// w becomes D, w0 the new W.
void MergeRules::step_outer(const std::string& name, const Tensor& w, const Tensor& w0) {
  const Stream stream = replica_.device.stream();
  const Tensor u = keep(momenta_, name, w.shape()).value;
  const auto sum = [&](float a, const Tensor& x, float b, const Tensor& y) {
    scaled_sum(stream, DType::kFloat32, {y.elements(), y.data(), x.data(), a, b});
  };
  sum(1.0f, w0, -1.0f, w);
  sum(1.0f, w, momentum_, u);
  sum(-lr_, w, 1.0f, w0);
  sum(-lr_ * momentum_, u, 1.0f, w0);
}

void MergeRules::add_sources(std::vector<SafetensorsSource>& sources) const {
  const auto add = [&](const std::string& prefix, const std::map<std::string, Kept>& from) {
    for (const auto& [name, kept] : from) {
      const Tensor value = kept.value;
      sources.push_back({prefix + name,
                         DType::kFloat32,
                         {value.shape()[0], value.shape()[1]},
                         [this, value](void* to) {
                           replica_.device.runtime().copy_to_host(replica_.device.stream(), to,
                                                                  value.data(), value.bytes());
                         }});
    }
  };
  add("cycle.", begun_);
  add("outer.", momenta_);
}

void MergeRules::load(const SafetensorsFile& file) {
  const auto take = [&](const std::string& prefix, std::map<std::string, Kept>& into) {
    for (const SafetensorsEntry& entry : file.entries()) {
      if (!entry.name.starts_with(prefix) || entry.shape.size() != 2) continue;
      const std::string name = entry.name.substr(prefix.size());
      const Kept& kept = keep(into, name, {entry.shape[0], entry.shape[1]});
      std::vector<float> values(static_cast<size_t>(kept.value.elements()));
      file.read(entry, values.data());
      replica_.device.runtime().copy_to_device(replica_.device.stream(), kept.value.data(),
                                               values.data(), kept.value.bytes());
    }
  };
  take("cycle.", begun_);
  take("outer.", momenta_);
}

}  // namespace ab
