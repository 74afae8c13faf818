// One rank by hand: a replica, a batch that a test makes, and steps without a trainer.
#pragma once
#include <functional>

#include "tests/device_under_test.h"
#include "tests/train/run_fixture.h"
#include "tools/train/phase_border.h"

namespace ab {

constexpr int64_t kBatch = 4;

inline HostBatch batch_of(const Config& config, uint64_t seed) {
  HostBatch batch;
  batch.count = kBatch;
  batch.height = batch.width = *config.model.image;
  batch.channels = *config.model.channels;
  batch.pixels.resize(static_cast<size_t>(kBatch) * batch.height * batch.width * batch.channels);
  for (size_t i = 0; i < batch.pixels.size(); ++i)
    batch.pixels[i] = static_cast<uint8_t>(philox(seed, 0, i).x);
  batch.crops.resize(kBatch);
  for (int32_t i = 0; i < kBatch; ++i) batch.labels.push_back(i % *config.model.classes);
  return batch;
}

struct Rank {
  Rank(const Config& config, int world, int rank = 0)
      : resolved(resolve(config, 96, world, world)),
        device(Device::create(test_device(), rank, 1)),
        replica(config, resolved, *device),
        batch(*device, kBatch, *config.model.image,
              normalisation_of(data_settings(config, resolved))) {}

  double step(int64_t number) {
    replica.begin_step(number, 1e-3);
    replica.forward_backward(batch, nullptr);
    replica.update();
    return replica.result().loss;
  }
  std::vector<float> read(const Tensor& t) {
    std::vector<float> values(static_cast<size_t>(t.elements()));
    device->runtime().copy_to_host(device->stream(), values.data(), t.data(), t.bytes());
    return values;
  }
  void write(const Tensor& t, const std::vector<float>& values) {
    device->runtime().copy_to_device(device->stream(), t.data(), values.data(), t.bytes());
  }

  Resolved resolved;
  std::unique_ptr<Device> device;
  Replica replica;
  DeviceBatch batch;
};

// Ranks in groups of one; body(rank, border, trains A).
inline void on_ranks(const Config& config, int ranks,
                     const std::function<void(Rank&, PhaseBorder&, int, bool)>& body) {
  run_local_ranks(ranks, ranks, [&](Communicator& threads) {
    Rank rank(config, ranks, threads.rank());
    const auto gpu_world = device_world(threads, *rank.device);
    Communicator& world = gpu_world ? *gpu_world : threads;
    const auto group = world.split(world.rank(), "group");
    const bool trains_a = world.rank() < ranks / 2;
    PhaseBorder border(config, rank.replica, world, {group.get(), world.rank(), ranks, trains_a});
    body(rank, border, world.rank(), trains_a);
  });
}

// Catch's macros belong to the main thread.
inline void expect(bool holds, const std::string& what) {
  if (!holds) throw std::logic_error(what);
}

}  // namespace ab
