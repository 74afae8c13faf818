// The border into an AB phase. The other way, merge, is in phase_merge.cpp.
#include "tools/train/phase_border.h"

#include <algorithm>
#include <numeric>

#include "distributed/tensor_collectives.h"
#include "engine/decomposition.h"
#include "engine/error.h"
#include "kernels/transpose.h"

namespace ab {
namespace {

constexpr const char* kDrivers[] = {"none", "gram", "gesdd", "gesvd", "gesvdj"};
double driver_number(const std::string& driver) {
  const auto at = std::find(std::begin(kDrivers), std::end(kDrivers), driver);
  return static_cast<double>(at - std::begin(kDrivers));
}

// The weight in the paper's orientation (m >= n): itself, or its transpose.
Tensor oriented(Arena& arena, Stream stream, const FactoredWeight& weight) {
  Tensor matrix = weight.dense().value.reshaped({weight.out(), weight.in()});
  if (!weight.transposed()) return matrix;
  Tensor turned(arena, {weight.in(), weight.out()}, DType::kFloat32);
  transpose(stream, DType::kFloat32, weight.out(), weight.in(), matrix.data(), turned.data());
  return turned;
}

}  // namespace

std::vector<int> deal_out_layers(const std::vector<FactoredWeight*>& weights, int ranks) {
  const auto cost = [&](size_t i) {
    return static_cast<double>(weights[i]->m()) * weights[i]->n() * weights[i]->n();
  };
  std::vector<size_t> order(weights.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return cost(a) > cost(b); });
  std::vector<double> load(static_cast<size_t>(ranks), 0.0);
  std::vector<int> owners(weights.size());
  for (const size_t i : order) {
    const auto least = std::min_element(load.begin(), load.end());
    owners[i] = static_cast<int>(least - load.begin());
    *least += cost(i);
  }
  return owners;
}

PhaseBorder::PhaseBorder(const Config& config, Replica& replica, Communicator& world,
                         const GroupPlace& place)
    : config_(config),
      replica_(replica),
      world_(world),
      place_(place),
      replicas_(config, replica, world, place),
      rules_(config, replica, place.count > 1) {}

std::vector<RankRecord> PhaseBorder::decompose(int cycle) {
  world_.ledger().set_phase(Phase::kDecompose);
  average_statistics();
  const std::vector<int> owners = deal_out_layers(replica_.factorable, place_.communicator->size());
  std::vector<RankRecord> records;
  {
    std::vector<Decomposed> layers = decompose_owned(cycle, owners);
    share_reports(layers);
    if (config_.ab.compat.moments || config_.ab.moments != "zero")
      for (const Decomposed& layer : layers) stash_.save(replica_, *layer.weight);
    for (const Decomposed& layer : layers) {
      if (layer.report.k == 0) continue;  // the guard keeps it dense
      layer.weight->become_factored(layer.report.k);
      layer.weight->a().trainable = place_.trains_a;
      layer.weight->b().trainable = !place_.trains_a;
    }
    replica_.adamw.relayout(replica_.store.layout());
    install_factors(layers, owners);
    rules_.begin_cycle();
    for (const Decomposed& layer : layers) {
      if (config_.ab.compat.moments) stash_.restore(replica_, *layer.weight);
      if (config_.ab.moments == "project") stash_.project(replica_, *layer.weight);
      records.push_back({cycle, layer.weight->name(), layer.report});
    }
  }
  replica_.border.reset();
  replica_.arena.reset();
  replica_.store.refresh_compute(replica_.device.stream());
  replicas_.whole("after decomposing");
  return records;
}

std::vector<PhaseBorder::Decomposed> PhaseBorder::decompose_owned(int cycle,
                                                                  const std::vector<int>& owners) {
  const bool whole = cycle == 0 && !config_.ab.compat.first_cut;
  const float cutoff = whole ? 0.0f : static_cast<float>(config_.ab.sigma_cutoff);
  const Stream stream = replica_.device.stream();
  std::vector<Decomposed> layers;
  for (size_t i = 0; i < owners.size(); ++i) {
    FactoredWeight& weight = *replica_.factorable[i];
    Decomposed layer{&weight, {}, {}};
    layer.report.m = weight.m();
    layer.report.n = weight.n();
    if (owners[i] == place_.communicator->rank()) {
      try {
        const Tensor w = oriented(replica_.border, stream, weight);
        layer.factors = replica_.device.decomposition().decompose(stream, replica_.border, w,
                                                                  cutoff, svd_route_of(config_));
      } catch (const NonFiniteError& error) {
        throw NonFiniteError("decomposing " + weight.name() + ": " + error.what());
      } catch (const DeviceError& error) {
        throw DeviceError("decomposing " + weight.name() + ": " + error.what());
      }
      layer.report = layer.factors.report;
      const int64_t k = layer.report.k;
      if (config_.ab.guard && k * (weight.m() + weight.n()) >= weight.m() * weight.n())
        layer.report.k = 0;
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

// Every rank of the group hears what the owners found: a sum in which all others add zero.
void PhaseBorder::share_reports(std::vector<Decomposed>& layers) {
  std::vector<double> fields(layers.size() * kReportFields, 0.0);
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!layers[i].factors.a) continue;
    const DecompositionReport& r = layers[i].report;
    const double mine[] = {static_cast<double>(r.k), r.sigma_max, r.energy_lost, r.residual, r.ms,
                           driver_number(r.driver)};
    double* to = std::copy(std::begin(mine), std::end(mine), fields.data() + i * kReportFields);
    std::copy(r.spectrum.begin(), r.spectrum.end(), to);
  }
  place_.communicator->all_reduce(Purpose::kRanks, fields.data(),
                                  static_cast<int64_t>(fields.size()), DType::kFloat64);
  for (size_t i = 0; i < layers.size(); ++i) {
    const double* f = fields.data() + i * kReportFields;
    DecompositionReport& r = layers[i].report;
    r.k = static_cast<int64_t>(f[0]);
    r.sigma_max = static_cast<float>(f[1]);
    r.energy_lost = static_cast<float>(f[2]);
    r.residual = static_cast<float>(f[3]);
    r.ms = f[4];
    r.driver = kDrivers[static_cast<int>(f[5])];
    const auto points = static_cast<int64_t>(spectrum_places(r.n).size());
    r.spectrum.assign(f + kReportFields - kSpectrumPoints,
                      f + kReportFields - kSpectrumPoints + points);
  }
}

// The owner writes A and B into its parameters, then they travel inside the group.
void PhaseBorder::install_factors(const std::vector<Decomposed>& layers,
                                  const std::vector<int>& owners) {
  Runtime& runtime = replica_.device.runtime();
  const Stream stream = replica_.device.stream();
  for (size_t i = 0; i < layers.size(); ++i) {
    const FactoredWeight& weight = *layers[i].weight;
    const int64_t k = layers[i].report.k;
    if (k == 0) continue;
    const Factors& f = layers[i].factors;
    const auto put = [&](const Parameter& to, const Tensor& from, int64_t rows, int64_t cols) {
      if (weight.transposed())
        transpose(stream, DType::kFloat32, rows, cols, from.data(), to.value.data());
      else
        runtime.copy(stream, to.value.data(), from.data(), to.value.bytes());
    };
    if (f.a) {
      put(weight.a(), f.a, weight.m(), k);
      put(weight.b(), f.b, k, weight.n());
    }
    for (const Parameter* factor : {&weight.a(), &weight.b()})
      broadcast(stream, *place_.communicator, Purpose::kFactors, factor->value, owners[i]);
  }
}

void PhaseBorder::average_statistics() {
  if (config_.train.sync_bn != "off" || world_.size() == 1) return;
  const Tensor statistics = replica_.store.buffer_values();
  if (!statistics) return;
  average(replica_.device.stream(), world_, Purpose::kMergeStatistics, statistics);
}

}  // namespace ab
