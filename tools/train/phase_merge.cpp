// The border out of an AB phase (method.md section 6).
//   merge=all (Algorithm 1)   every factor is averaged over all ranks, untouched copies included
//   learned, mean_of_products every factor is averaged over the ranks that trained it
// All of them send the same bytes; merge_rules.h says what becomes of the averages.
#include "distributed/tensor_collectives.h"
#include "kernels/elementwise.h"
#include "tools/train/phase_border.h"

namespace ab {
namespace {

bool is_factor(const Replica& replica, const Parameter& p) {
  for (const FactoredWeight* weight : replica.factorable)
    if (weight->factored() && (&weight->a() == &p || &weight->b() == &p)) return true;
  return false;
}

// Tensors of this rank gathered side by side, reduced over the world, and put back: one collective.
class Packed {
 public:
  Packed(Replica& replica, std::vector<Tensor> parts)
      : replica_(replica), parts_(std::move(parts)) {
    int64_t total = 0;
    for (const Tensor& part : parts_) total += part.elements();
    if (total > 0) all_ = Tensor(replica.border, {total}, DType::kFloat32);
    move(true);
  }
  const Tensor& all() const { return all_; }
  void put_back() { move(false); }

 private:
  void move(bool in) {
    size_t at = 0;
    for (const Tensor& part : parts_) {
      const DevicePtr place = all_.data().plus_bytes(at);
      replica_.device.runtime().copy(replica_.device.stream(), in ? place : part.data(),
                                     in ? part.data() : place, part.bytes());
      at += part.bytes();
    }
  }
  Replica& replica_;
  std::vector<Tensor> parts_;
  Tensor all_;
};

}  // namespace

void PhaseBorder::merge() {
  world_.ledger().set_phase(Phase::kMerge);
  replicas_.before_merge();
  if (place_.count > 1) {
    average_factors_and_rest();
    if (!config_.ab.compat.moments) average_moments();
    if (const Tensor statistics = replica_.store.buffer_values())
      average(replica_.device.stream(), world_, Purpose::kMergeStatistics, statistics);
  } else {
    average_statistics();
  }
  multiply_back();
  replica_.border.reset();
  replica_.arena.reset();
  replica_.store.refresh_compute(replica_.device.stream());
  replicas_.whole("after merging");
}

void PhaseBorder::average_factors_and_rest() {
  const Stream stream = replica_.device.stream();
  std::vector<Tensor> factors, rest;
  const bool learned = config_.ab.merge != "all";
  const int a_groups = place_.count / 2, group_size = world_.size() / place_.count;
  for (const Parameter& p : replica_.store.parameters()) {
    if (!p.present) continue;
    if (!is_factor(replica_, p)) {
      rest.push_back(p.value);
      continue;
    }
    // Weights of the average: 1/n for whoever counts, 0 for whoever did not train the factor.
    const int trainers = p.name.ends_with(".A") ? a_groups : place_.count - a_groups;
    const int counted = (learned ? trainers : place_.count) * group_size;
    const float share = learned && !p.trainable ? 0.0f : 1.0f / static_cast<float>(counted);
    scale(stream, DType::kFloat32, p.value.elements(), p.value.data(), share);
    factors.push_back(p.value);
  }
  if (!factors.empty()) {
    Packed packed(replica_, factors);
    all_reduce(stream, world_, Purpose::kMergeFactors, packed.all());
    packed.put_back();
  }
  if (!rest.empty()) {
    Packed packed(replica_, rest);
    average(stream, world_, Purpose::kMergeUnfactored, packed.all());
    packed.put_back();
  }
}

void PhaseBorder::average_moments() {
  std::vector<Tensor> moments;
  for (const Parameter& p : replica_.store.parameters())
    if (p.present && p.trainable && !is_factor(replica_, p)) {
      moments.push_back(replica_.adamw.first_moment(p));
      moments.push_back(replica_.adamw.second_moment(p));
    }
  if (moments.empty()) return;
  Packed packed(replica_, moments);
  average(replica_.device.stream(), world_, Purpose::kMergeMoments, packed.all());
  packed.put_back();
}

// W of the averaged factors in fp32, then the factors make room for it.
void PhaseBorder::multiply_back() {
  const Stream stream = replica_.device.stream();
  std::vector<std::pair<FactoredWeight*, Tensor>> products;
  for (FactoredWeight* weight : replica_.factorable) {
    if (config_.ab.compat.moments) stash_.save(replica_, *weight);
    if (!weight->factored()) continue;
    products.emplace_back(weight, rules_.merged(*weight));
    weight->become_dense();
  }
  replica_.adamw.relayout(replica_.store.layout());
  for (const auto& [weight, w] : products)
    replica_.device.runtime().copy(stream, weight->dense().value.data(), w.data(), w.bytes());
  rules_.end_cycle();
  if (config_.ab.compat.moments || config_.ab.moments != "zero")
    for (const auto& [weight, w] : products) stash_.restore(replica_, *weight);
}

}  // namespace ab
