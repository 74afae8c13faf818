// The method as a whole, on runs of a dozen steps: equalities that must hold whatever the network.
#include <cmath>

#include "tests/catch.h"
#include "tests/train/run_fixture.h"

using namespace ab;

TEST_CASE("four ranks of batch b train like one rank of batch 4 b") {
  const std::string model = GENERATE("vit", "resnet");
  CAPTURE(model);
  const auto four = run_training(tiny_config(model, {"train.steps=6"}), 4);
  const auto one = run_training(tiny_config(model, {"train.steps=6", "data.local_batch=16"}), 1);
  check_close(four.losses, one.losses, 6);
  CHECK(relative_distance(four.weights[0], one.weights[0]) < 2e-3);
}

TEST_CASE("dropout and drop path depend on the sample's place, not on the rank") {
  const std::vector<std::string> drops = {"train.steps=4", "model.drop_path=0.5",
                                          "model.dropout=0.3"};
  auto whole = drops;
  whole.push_back("data.local_batch=16");
  const auto four = run_training(tiny_config("vit", drops), 4);
  const auto one = run_training(tiny_config("vit", whole), 1);
  check_close(four.losses, one.losses, 4);
  const auto without = run_training(tiny_config("vit", {"train.steps=4"}), 4);
  CHECK(std::abs(four.losses[0] - without.losses[0]) > 1e-3 * without.losses[0]);
}

TEST_CASE("two runs with one seed write the same losses bit for bit, whatever the loader workers") {
  const std::string model = GENERATE("vit", "resnet");
  CAPTURE(model);
  const auto first = run_training(tiny_config(model, {"method=ab", "data.workers=0"}), 4);
  const auto again = run_training(tiny_config(model, {"method=ab", "data.workers=3"}), 4);
  REQUIRE(first.losses.size() == 12);
  REQUIRE(first.losses == again.losses);
  REQUIRE(first.weights == again.weights);
}

TEST_CASE("all replicas are equal to the bit after a merge") {
  const std::string method = GENERATE("ddp", "ab", "ab-nogroups");
  const std::string rule = GENERATE("ab.merge=all", "ab.merge=learned", "ab.merge=mean_of_products",
                                    "ab.outer=nesterov", "ab.moments=keep");
  CAPTURE(method, rule);
  if (method == "ddp" && rule != "ab.merge=all") return;  // has no merge
  const auto run = run_training(tiny_config("resnet", {"method=" + method, rule}), 4);
  for (const auto& weights : run.weights) REQUIRE(weights == run.weights[0]);
}

TEST_CASE("cutoff 0 with merge=learned, merged at once, goes on as ddp does") {
  // At a vanishing learning rate decomposing and merging must give W back, so the losses that
  // follow are ddp's.
  const std::vector<std::string> common = {"train.steps=6", "adamw.lr=1e-12",
                                           "adamw.weight_decay=0", "schedule.warmup_lr=1e-12",
                                           "schedule.min_lr=1e-12"};
  auto with = common;
  with.insert(with.end(), {"method=ab", "ab.sigma_cutoff=0", "ab.merge=learned", "ab.ab_steps=1"});
  const auto ab = run_training(tiny_config("vit", with), 4);
  const auto ddp = run_training(tiny_config("vit", common), 4);
  // Inside an AB span rank 0 logs its group's loss alone; compare where the world is averaged.
  size_t compared = 0;
  for (const PhaseSpan& span : ab.spans)
    for (int64_t s = span.from; s < span.to && span.phase != StepPhase::kAb; ++s, ++compared)
      CHECK(std::abs(ab.losses[s] - ddp.losses[s]) < 1e-5 * ddp.losses[s]);
  REQUIRE(compared >= 4);
  CHECK(relative_distance(ab.weights[0], ddp.weights[0]) < 1e-5);
}

TEST_CASE("dense and thin forward train alike") {
  const auto run = [](const char* way) {
    return run_training(tiny_config("resnet", {"method=ab", std::string("ab.forward=") + way}), 4);
  };
  const auto dense = run("dense"), thin = run("thin");
  check_close(thin.losses, dense.losses, 12);
}

TEST_CASE("training that ends inside an AB phase is merged before the last evaluation") {
  // warm-up 3, AB 4 (3..7): five steps end inside it.
  const auto run = run_training(tiny_config("vit", {"method=ab", "train.steps=5"}), 4);
  REQUIRE(run.spans.back().phase == StepPhase::kAb);
  REQUIRE(run.result.top1_last.has_value());
  for (const auto& weights : run.weights) REQUIRE(weights == run.weights[0]);
  REQUIRE(static_cast<int64_t>(run.weights[0].size()) == run.result.params_full);
}

TEST_CASE("the reference's switches run: its counting, no first cut, its moments") {
  const auto run = run_training(
      tiny_config("resnet", {"method=ab", "ab.compat.schedule={\"W\":2,\"S\":5,\"D\":1}",
                             "ab.compat.first_cut=false", "ab.compat.moments=true",
                             "ab.sigma_cutoff=0.3", "train.init=default"}),
      4);
  REQUIRE(run.result.layer_ranks.size() >= 2);
  const auto& first = run.result.layer_ranks[0];
  const auto& later = run.result.layer_ranks[1];
  int64_t kept_first = 0, kept_later = 0;
  for (size_t i = 0; i < first.size(); ++i) kept_first += first[i], kept_later += later[i];
  REQUIRE(kept_first > kept_later);  // the first decomposition is whole, the second is cut
  // No moments travel at the merge.
  for (const auto& [key, entry] : run.ledger) CHECK(key.purpose != Purpose::kMergeMoments);
  for (const auto& weights : run.weights) REQUIRE(weights == run.weights[0]);
}
