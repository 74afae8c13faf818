// Host and GPU run one program: same config and seed, the same losses to rounding and ledgers that
// are identical to the byte, through warm-up, AB phases and rebounds.
#include <cmath>

#include "engine/error.h"
#include "tests/catch.h"
#include "tests/train/run_fixture.h"

using namespace ab;

namespace {

bool gpu_is_there() {
  try {
    Device::create(DeviceKind::kCuda);
    return true;
  } catch (const DeviceError& error) {
    WARN("skipped: " << error.what());
    return false;
  }
}

FinishedRun run_on(DeviceKind kind, const Config& config) {
  RunPlaces places;
  places.device = kind;
  return run_training(config, 4, 4, 1, places);
}

}  // namespace

TEST_CASE("host and cuda train alike for 50 steps, and book the same bytes") {
  if (!gpu_is_there()) return;
  const std::string model = GENERATE("vit", "resnet");
  CAPTURE(model);
  // Warm-up 10, then AB 12 and rebound 3 in turns.
  const Config config = tiny_config(
      model, {"method=ab", "train.steps=50", "train.eval_every=10", "ab.warmup_steps=10",
              "ab.ab_steps=12", "ab.rebound_steps=3", "ab.lr_rebound_steps=4"});
  const FinishedRun host = run_on(DeviceKind::kHost, config);
  const FinishedRun cuda = run_on(DeviceKind::kCuda, config);
  REQUIRE(host.losses.size() == 50);
  REQUIRE(cuda.losses.size() == 50);
  // As training_test allows for sums in another order.
  double worst = 0.0;
  for (size_t i = 0; i < 50; ++i) {
    const double error = std::abs(cuda.losses[i] - host.losses[i]) / host.losses[i];
    INFO("step " << i + 1 << ": host " << host.losses[i] << ", cuda " << cuda.losses[i]);
    CHECK(error < 1e-4);
    worst = std::max(worst, error);
  }
  INFO("largest relative difference of a loss " << worst);
  CHECK(host.result.layer_ranks == cuda.result.layer_ranks);
  REQUIRE(host.ledger.size() == cuda.ledger.size());
  for (const auto& [key, entry] : host.ledger) {
    INFO(name_of(key.phase) << " " << key.communicator << " " << name_of(key.purpose));
    REQUIRE(cuda.ledger.count(key) == 1);
    const LedgerEntry& other = cuda.ledger.at(key);
    CHECK(entry.calls == other.calls);
    CHECK(entry.elements == other.elements);
    CHECK(entry.payload_bytes == other.payload_bytes);
    CHECK(entry.sent_bytes == other.sent_bytes);
    CHECK(entry.inter_node_bytes == other.inter_node_bytes);
  }
}
