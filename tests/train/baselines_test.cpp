// The baselines in the same trainer: where they must equal ddp they do, their replicas agree when
// they say so, and a look at the averages leaves training alone.
#include <algorithm>
#include <cmath>

#include "tests/catch.h"
#include "tests/train/rank_fixture.h"

using namespace ab;

namespace {

// With eps far above the gradients AdamW is SGD with momentum to one part in eps / |g|, so that a
// rounding of the gradient stays a rounding of the update (otherwise the direction of an entry that
// is almost zero would follow its sign).
const std::vector<std::string> kLinear = {"adamw.eps=1000", "adamw.lr=100", "adamw.weight_decay=0",
                                          "train.clip_norm=0", "train.init=default"};

Config linear(const std::string& model, const std::vector<std::string>& changes) {
  std::vector<std::string> all = kLinear;
  all.insert(all.end(), changes.begin(), changes.end());
  return tiny_config(model, all);
}

void check_close(const std::vector<double>& a, const std::vector<double>& b, double limit) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    INFO("step " << i + 1);
    CHECK(std::abs(a[i] - b[i]) < limit * std::abs(b[i]));
  }
}

}  // namespace

TEST_CASE("powersgd at full rank trains as ddp does") {
  const std::string model = GENERATE("vit", "resnet");
  const std::string feedback = GENERATE("true", "false");
  CAPTURE(model, feedback);
  const auto ddp = run_training(linear(model, {}), 4);
  const auto full = run_training(
      linear(model, {"method=powersgd", "powersgd.rank=4096", "powersgd.start_step=0",
                     "powersgd.min_compression=0", "powersgd.error_feedback=" + feedback}),
      4);
  const auto [least, most] = std::minmax_element(ddp.losses.begin(), ddp.losses.end());
  REQUIRE(*most - *least > 0.01 * *most);  // something moves
  check_close(full.losses, ddp.losses, 1e-4);
  CHECK(relative_distance(full.weights[0], ddp.weights[0]) < 1e-4);
}

TEST_CASE("powersgd is ddp until it starts, and something else after") {
  const auto ddp = run_training(tiny_config("vit", {}), 4);
  const auto low =
      run_training(tiny_config("vit", {"method=powersgd", "powersgd.rank=1",
                                       "powersgd.start_step=5", "powersgd.min_compression=0"}),
                   4);
  REQUIRE(low.losses.size() == 12);
  // The loss of step 6 is that of the weights after 5 full steps.
  CHECK(std::vector<double>(low.losses.begin(), low.losses.begin() + 6) ==
        std::vector<double>(ddp.losses.begin(), ddp.losses.begin() + 6));
  CHECK(low.losses[8] != ddp.losses[8]);
  for (const auto& weights : low.weights) REQUIRE(weights == low.weights[0]);
}

TEST_CASE("local-sgd averaged after every step: what of AdamW is linear equals ddp") {
  // Two groups of two ranks from equal weights and moments, one step, then an average of weights
  // and moments. With g_1, g_2 the groups' gradients and g their mean:
  //   first moments    (1-b1) (g_1 + g_2)/2 = (1-b1) g         as ddp's
  //   second moments   (1-b2) (g_1^2 + g_2^2)/2 >= (1-b2) g^2  ddp's plus the groups' variance
  //   weights          with eps >> |g| each group's step is lr g_i / eps, so their mean is ddp's
  const auto one_step = [](const std::vector<std::string>& changes) {
    std::vector<std::string> all = {"train.steps=1", "schedule.warmup_epochs=0"};
    all.insert(all.end(), changes.begin(), changes.end());
    const Config config = linear("vit", all);
    std::vector<std::vector<float>> state(3);  // rank 0: weights, first, second moments
    const auto train = open_dataset(data_settings(config), Split::kTrain);
    const auto test = open_dataset(data_settings(config), Split::kTest);
    run_local_ranks(4, 4, [&](Communicator& threads) {
      const Resolved resolved = resolve(config, train->size(), 4, 4);
      const auto device = Device::create(test_device(), threads.rank(), 1);
      const auto gpu_world = device_world(threads, *device);
      Trainer trainer({config, resolved, gpu_world ? *gpu_world : threads, *device, *train, *test,
                       nullptr, nullptr, "", ""});
      trainer.run();
      if (threads.rank() != 0) return;
      Replica& replica = trainer.replica();
      const Tensor parts[] = {replica.store.values(), replica.adamw.first_moment(),
                              replica.adamw.second_moment()};
      for (size_t i = 0; i < 3; ++i) {
        state[i].resize(static_cast<size_t>(parts[i].elements()));
        device->runtime().copy_to_host(device->stream(), state[i].data(), parts[i].data(),
                                       parts[i].bytes());
      }
    });
    return state;
  };
  const auto ddp = one_step({});
  const auto local = one_step({"method=local-sgd", "local_sgd.start_step=0", "local_sgd.period=1",
                               "local_sgd.group_size=2", "local_sgd.moments=average"});
  CHECK(relative_distance(local[1], ddp[1]) < 1e-5);
  CHECK(relative_distance(local[0], ddp[0]) < 1e-5);
  size_t larger = 0;
  float largest = 0.0f;
  for (const float v : ddp[2]) largest = std::max(largest, v);
  for (size_t i = 0; i < ddp[2].size(); ++i) {
    REQUIRE(local[2][i] >= ddp[2][i] - 1e-6f * largest);
    larger += local[2][i] > 1.5f * ddp[2][i];
  }
  CHECK(larger > ddp[2].size() / 4);  // the groups saw different images
}

TEST_CASE("local-sgd whose groups average every step follows ddp where AdamW is linear") {
  const std::string model = GENERATE("vit", "resnet");
  CAPTURE(model);
  // resnet: statistics over the world, so that the groups normalise as ddp does.
  const auto ddp = run_training(linear(model, {"train.sync_bn=world"}), 4);
  const auto local = run_training(
      linear(model, {"train.sync_bn=world", "method=local-sgd", "local_sgd.start_step=0",
                     "local_sgd.period=1", "local_sgd.group_size=2"}),
      4);
  // Rank 0 logs its group's loss; the weights are what must agree. sqrt(v) / eps is below 1e-3.
  CHECK(relative_distance(local.weights[0], ddp.weights[0]) < 1e-4);
  CHECK(local.losses != ddp.losses);
}

TEST_CASE("local-sgd: replicas are equal after the last average, whatever the period") {
  const std::string period = GENERATE("1", "5");
  const std::string moments = GENERATE("keep", "average");
  CAPTURE(period, moments);
  const auto run =
      run_training(tiny_config("resnet", {"method=local-sgd", "local_sgd.start_step=1",
                                          "local_sgd.period=" + period, "local_sgd.group_size=2",
                                          "local_sgd.moments=" + moments}),
                   4);
  for (const auto& weights : run.weights) REQUIRE(weights == run.weights[0]);
  int64_t averages = 0;
  for (const auto& [key, entry] : run.ledger)
    if (key.purpose == Purpose::kAverageWeights && key.phase == Phase::kMerge)
      averages += entry.calls;
  CHECK(averages == 4 * (period == "1" ? 11 : 3));  // after 6, 11, and the end
}

TEST_CASE("an evaluation between two averages sees the averages and changes nothing") {
  const std::string sync = GENERATE("phase", "off");
  CAPTURE(sync);
  const auto run = [&](const std::string& every) {
    return run_training(
        tiny_config("resnet", {"method=local-sgd", "local_sgd.start_step=0", "local_sgd.period=4",
                               "local_sgd.group_size=2", "train.sync_bn=" + sync,
                               "train.eval_every=" + every}),
        4);
  };
  const auto seldom = run("0"), often = run("0.16667");  // after every step: an epoch has six
  const LedgerKey key{Phase::kEvaluate, "world", Collective::kAllReduce, Purpose::kAverageWeights,
                      DType::kFloat32};
  CHECK(seldom.ledger.count(key) == 0);
  // All 12 steps are local; 4, 8 and 12 have just been averaged.
  CHECK(often.ledger.at(key).calls == 4 * (12 - 3));
  CHECK(often.losses == seldom.losses);
  CHECK((often.weights == seldom.weights));
  CHECK(often.result.top1_last == seldom.result.top1_last);
}

TEST_CASE("one group is ddp, and is refused; the error names the key") {
  const Config config = tiny_config("vit", {"method=local-sgd", "local_sgd.group_size=4"});
  REQUIRE_THROWS_WITH(
      resolve(config, 96, 4, 4),
      Catch::Contains("local_sgd.group_size 4 with 4 ranks") && Catch::Contains("1, 2 would work"));
  const Config node = tiny_config("vit", {"method=local-sgd"});
  REQUIRE_THROWS_WITH(resolve(node, 96, 4, 4), Catch::Contains("set as local_sgd.group_size"));
}

TEST_CASE("groups that see the same data in local-sgd stay equal") {
  // Groups of one rank on one batch: averaging equal replicas changes nothing (a sum of two equal
  // floats, halved, is the float).
  const Config config = tiny_config("vit", {"method=local-sgd", "local_sgd.group_size=1"});
  run_local_ranks(2, 2, [&](Communicator& threads) {
    Rank rank(config, 2, threads.rank());
    const auto gpu_world = device_world(threads, *rank.device);
    Communicator& world = gpu_world ? *gpu_world : threads;
    ReplicaCheck check(config, rank.replica, world, {&world});
    LocalAverage local(config, rank.replica, world, check);
    rank.batch.upload(batch_of(config, 1));
    for (int64_t i = 0; i < 3; ++i) rank.step(i);
    std::vector<const Parameter*> all;
    for (const Parameter& p : rank.replica.store.parameters())
      if (p.present) all.push_back(&p);
    const std::vector<uint64_t> before = rank.replica.hashes_of(all);
    local.average();
    if (rank.replica.hashes_of(all) != before)
      throw std::logic_error("averaging changed equal replicas");
  });
}
