#include "layers/factored_weight.h"

#include <stdexcept>

namespace ab {

FactoredWeight::FactoredWeight(Network& network, const std::string& name, const Shape& shape,
                               Role role)
    : shape_(shape),
      dense_(&network.store.add(name, shape, role)),
      a_(&network.store.add(name + ".A", {m(), 1}, role)),
      b_(&network.store.add(name + ".B", {1, n()}, role)) {
  a_->present = b_->present = false;
  network.weights.push_back(this);
}

void FactoredWeight::become_factored(int64_t k) {
  if (k < 1 || k > n())
    throw std::logic_error(name() + ": rank " + std::to_string(k) + " of " + std::to_string(n()));
  rank_ = k;
  outer().shape = {out(), k};
  inner().shape = {k, in()};
  dense_->present = false;
  a_->present = b_->present = true;
}

void FactoredWeight::become_dense() {
  rank_ = 0;
  dense_->present = dense_->trainable = true;
  a_->present = b_->present = false;
}

bool FactoredWeight::takes_thin(int64_t rows) const {
  if (!factored()) return false;
  if (forward != FactorForward::kAuto) return forward == FactorForward::kThin;
  const double full = static_cast<double>(out()) * in(), k = static_cast<double>(rank_);
  const double trained = outer().trainable + inner().trainable;
  const double trained_size = k * (outer().trainable * out() + inner().trainable * in());
  // Products of multiply-adds: forward, dx, gradients; the dense way also builds W and folds dW.
  const double dense = rows * full * (trained > 0 ? 3 : 2) + k * full * (1 + trained);
  const double thin = rows * (2 * k * (out() + in()) + trained_size);
  return thin < dense;
}

}  // namespace ab
