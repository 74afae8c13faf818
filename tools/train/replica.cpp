#include "tools/train/replica.h"

#include <cmath>
#include <cstddef>

#include "engine/inspection.h"
#include "engine/ops/loss.h"
#include "engine/ranges.h"
#include "kernels/gradient_scale.h"
#include "models/initialise.h"

namespace ab {
namespace {

// Operations of a step draw from numbered streams; so many belong to each step.
constexpr uint64_t kStreamsPerStep = 1 << 12;

// A step's way in and out, in device memory.
struct StepMemory {
  uint64_t random_origin;  // in
  double squares;          // out: of the gradients
  float loss;              // out
  GradientScale scale;     // what follows from both
};

#define AB_AT(member) step_.data().plus_bytes(offsetof(StepMemory, member))

std::unique_ptr<Model> laid_out(const Config& config, ParameterStore& store) {
  std::unique_ptr<Model> model = make_model(model_settings(config), store);
  store.layout();
  return model;
}

}  // namespace

Replica::Replica(const Config& config, const Resolved&, Device& on)
    : device(on),
      store(on, precision_of(config)),
      model(laid_out(config, store)),
      factorable(factorable_weights(*model, config.ab.exclude)),
      full_elements(store.values().elements()),
      adamw(store, config.adamw),
      arena(on),
      border(on),
      dtype_(precision_of(config)),
      seed_(config.train.seed),
      label_smoothing_(static_cast<float>(config.train.label_smoothing)),
      clip_norm_(config.train.clip_norm),
      step_(on, sizeof(StepMemory)) {
  for (FactoredWeight* weight : factorable) weight->forward = forward_of(config);
  if (device.kind() == DeviceKind::kDry) return;
  initialise(
      *model,
      config.train.init == "orthogonal" ? Initialisation::kOrthogonal : Initialisation::kDefault,
      config.train.seed);
}

Context Replica::context(Arena& memory, bool training) {
  Context context(device, memory);
  context.training = training;
  context.dtype = dtype_;
  context.random.seed = seed_;
  context.random_origin = AB_AT(random_origin);
  return context;
}

Tensor Replica::loss_of(Context& context, const DeviceBatch& batch) {
  const Tensor logits = model->forward(context, batch.images(context));
  context.visit("logits", logits);
  return cross_entropy(context, logits, batch.labels(), label_smoothing_);
}

void Replica::begin_step(int64_t step, double lr) {
  const uint64_t origin = static_cast<uint64_t>(step) * kStreamsPerStep;
  device.runtime().copy_to_device(device.stream(), AB_AT(random_origin), &origin, sizeof origin);
  adamw.begin_step(device.stream(), lr);
}

void Replica::forward_backward(const DeviceBatch& batch, ReplicaSum* statistics) {
  Context pass = context(arena, true);
  pass.tape = &tape;
  pass.statistics = statistics;
  pass.first_sample = batch.first_sample();
  {
    const Range range(device.runtime(), "forward");
    const Tensor value = loss_of(pass, batch);
    device.runtime().copy(pass.stream, AB_AT(loss), value.data(), sizeof(float));
  }
  const Range range(device.runtime(), "backward");
  tape.backward(&device.runtime());
}

void Replica::update() {
  const Range range(device.runtime(), "update");
  Context pass = context(arena, false);
  gradient_squares(pass, store.gradients(), AB_AT(squares));
  gradient_scale(pass.stream, AB_AT(squares), AB_AT(loss), clip_norm_, AB_AT(scale));
  adamw.step(pass.stream, AB_AT(scale));
  store.refresh_compute(pass.stream);
  arena.end_step();
}

StepResult Replica::result() {
  StepMemory memory{};
  device.runtime().copy_to_host(device.stream(), &memory, step_.data(), sizeof memory);
  return {memory.loss, std::sqrt(memory.squares)};
}

std::string Replica::first_non_finite_layer(const DeviceBatch& batch) {
  std::string found;
  Arena memory(device);
  Context pass = context(memory, true);
  pass.statistics = nullptr;  // the other ranks may not be looking
  pass.first_sample = batch.first_sample();
  const auto look = [&](const std::string& name, const Tensor& t) {
    if (!found.empty() || !t) return;
    if (non_finite_in(memory, pass.stream, t) > 0) found = name;
  };
  for (const Parameter& p : store.parameters())
    if (p.present) look("parameter " + p.name, p.value);
  pass.inspect = [&](const std::string& name, const Tensor& t) { look("layer " + name, t); };
  loss_of(pass, batch);
  return found;
}

std::vector<uint64_t> Replica::hashes_of(const std::vector<const Parameter*>& parameters) {
  std::vector<uint64_t> hashes;
  for (const Parameter* p : parameters)
    hashes.push_back(checksum_of(border, device.stream(), p->value));
  border.reset();
  return hashes;
}

int64_t Replica::present_elements() const {
  int64_t total = 0;
  for (const Parameter& p : store.parameters())
    if (p.present) total += p.shape.elements();
  return total;
}

}  // namespace ab
