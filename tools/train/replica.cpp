#include "tools/train/replica.h"

#include "engine/inspection.h"
#include "engine/ops/loss.h"
#include "engine/ranges.h"
#include "models/initialise.h"

namespace ab {
namespace {

// Operations of a step draw from numbered streams; so many belong to each step.
constexpr uint64_t kStreamsPerStep = 1 << 12;

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
      label_smoothing_(static_cast<float>(config.train.label_smoothing)) {
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
  return context;
}

Tensor Replica::loss_of(Context& context, const DeviceBatch& batch) {
  const Tensor logits = model->forward(context, batch.images(context));
  context.visit("logits", logits);
  return cross_entropy(context, logits, batch.labels(), label_smoothing_);
}

double Replica::forward_backward(const DeviceBatch& batch, const StepInput& input) {
  Context pass = context(arena, true);
  pass.tape = &tape;
  pass.statistics = input.statistics;
  pass.random.stream = static_cast<uint64_t>(input.step) * kStreamsPerStep;
  pass.first_sample = batch.first_sample();
  Tensor value;
  {
    const Range range(device.runtime(), "forward");
    value = loss_of(pass, batch);
  }
  {
    const Range range(device.runtime(), "backward");
    tape.backward();
  }
  float loss = 0.0f;
  device.runtime().copy_to_host(pass.stream, &loss, value.data(), sizeof loss);
  return loss;
}

double Replica::gradient_norm() {
  Context pass = context(arena, false);
  return ab::gradient_norm(pass, store.gradients());
}

void Replica::update(double lr, float gradient_scale) {
  const Range range(device.runtime(), "update");
  adamw.step(device.stream(), lr, gradient_scale);
  store.refresh_compute(device.stream());
  arena.end_step();
}

std::string Replica::first_non_finite_layer(const DeviceBatch& batch, const StepInput& input) {
  std::string found;
  Arena memory(device);
  Context pass = context(memory, true);
  pass.statistics = nullptr;  // the other ranks may not be looking
  pass.random.stream = static_cast<uint64_t>(input.step) * kStreamsPerStep;
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
