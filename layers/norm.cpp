#include "layers/norm.h"

#include "engine/ops/batch_norm.h"
#include "engine/ops/layer_norm.h"
#include "engine/ranges.h"

namespace ab {

constexpr float kBatchNormEpsilon = 1e-5f, kBatchNormMomentum = 0.1f;  // method.md section 8

LayerNorm::LayerNorm(Network& network, const std::string& name, int64_t size, float epsilon)
    : name_(name),
      gamma_(network.store.add(name + ".weight", {size}, Role::kNorm)),
      beta_(network.store.add(name + ".bias", {size}, Role::kNorm)),
      epsilon_(epsilon) {}

Tensor LayerNorm::forward(Context& context, const Tensor& x) {
  const LayerRange range(context, name_);
  Tensor y = layer_norm(context, x, gamma_, beta_, epsilon_);
  context.visit(name_, y);
  return y;
}

BatchNorm::BatchNorm(Network& network, const std::string& name, int64_t channels)
    : name_(name),
      gamma_(network.store.add(name + ".weight", {channels}, Role::kNorm)),
      beta_(network.store.add(name + ".bias", {channels}, Role::kNorm)),
      running_mean_(network.store.add_buffer(name + ".running_mean", {channels})),
      running_var_(network.store.add_buffer(name + ".running_var", {channels})) {}

Tensor BatchNorm::forward(Context& context, const Tensor& x, bool relu, const Tensor* residual) {
  const LayerRange range(context, name_);
  const BatchNormParameters parameters{
      gamma_, beta_, running_mean_, running_var_, kBatchNormEpsilon, kBatchNormMomentum};
  Tensor y = batch_norm(context, x, parameters, relu, residual);
  context.visit(name_, y);
  return y;
}

}  // namespace ab
