// A run over images of which some do not decode: counted, booked, the same on any number of ranks
// and after a resume.
#include <filesystem>

#include "data/loader.h"
#include "tests/catch.h"
#include "tests/train/run_fixture.h"

using namespace ab;

namespace {

namespace fs = std::filesystem;

constexpr int kImages = 16, kCopies = 3;

// 16 images a class and split, copies of the test's own tiny JPEG; every fourth is cut in half.
void make_folder(const fs::path& dir) {
  const std::string jpeg = contents(AB_SOURCE_DIR "/tests/data/images/progressive.jpg");
  const std::string grey = contents(AB_SOURCE_DIR "/tests/data/images/grey.jpg");
  for (const char* split : {"train", "val"})
    for (int c = 0; c < kCopies; ++c) {
      const fs::path folder = dir / split / std::to_string(c);
      fs::create_directories(folder);
      for (int i = 0; i < kImages; ++i) {
        const std::string& whole = c == 0 ? grey : jpeg;
        write_file((folder / (std::to_string(100 + i) + ".jpg")).string(),
                   i % 4 == 3 ? whole.substr(0, whole.size() / 2) : whole);
      }
    }
}

Config config_of(const ScratchFolder& scratch, int64_t local_batch) {
  return tiny_config("vit", {"data.format=image_folder", "data.dir=" + (scratch / "images"),
                             "data.augment=imagenet", "model.classes=3", "data.on_bad_image=skip",
                             "data.local_batch=" + std::to_string(local_batch), "train.steps=8",
                             "checkpoint.every_steps=3", "train.eval_every=10"});
}

}  // namespace

TEST_CASE("skipped images are counted over all ranks, in plan and ledger alike") {
  ScratchFolder scratch;
  make_folder(scratch / "images");
  // Eight steps of 16 samples out of 48: two epochs, and two of three steps of a third one.
  int64_t expected = 2 * 12;
  const std::vector<int64_t> last = epoch_order(48, 1, 2);
  for (int i = 0; i < 32; ++i) expected += last[static_cast<size_t>(i)] % 4 == 3;
  std::vector<double> losses;
  for (const int ranks : {1, 2, 4}) {
    INFO(ranks << " ranks");
    const Config config = config_of(scratch, 16 / ranks);
    const auto run = run_training(config, ranks, 0, 1, {scratch / "run", ""});
    CHECK(run.result.skipped_train_samples == expected);
    CHECK(run.result.skipped_eval_images == 12);
    CHECK(planned(config, ranks, ranks, run.result.layer_ranks) == run.ledger);
    REQUIRE(run.losses.size() == 8);
    if (losses.empty()) losses = run.losses;
    for (size_t i = 0; i < 8; ++i)
      CHECK(run.losses[i] == Approx(losses[i]).epsilon(1e-4));  // the same samples
    // Going on from the sixth step counts what was skipped before it.
    const auto again = run_training(config, ranks, 0, 1,
                                    {scratch / "run", scratch / "run/checkpoints/step-00000006"});
    CHECK(again.result.skipped_train_samples == expected);
    CHECK(again.losses == run.losses);
    fs::remove_all(scratch / "run");
  }
}

TEST_CASE("an evaluation takes every image once, whatever the ranks") {
  const int images = 13;
  const Config config =
      tiny_config("resnet", {"data.synthetic_images=" + std::to_string(8 * images),
                             "data.local_batch=2", "train.steps=1", "data.augment=none"});
  std::optional<EvalRecord> alone;
  for (const int ranks : {1, 2, 3, 5}) {
    const auto test = open_dataset(data_settings(config), Split::kTest);
    REQUIRE(test->size() == images);
    run_local_ranks(ranks, ranks, [&](Communicator& below) {
      const auto device = Device::create(test_device(), below.rank(), 1);
      const auto gpu_world = device_world(below, *device);
      Communicator& world = gpu_world ? *gpu_world : below;
      Replica replica(config, Resolved{}, *device);
      const EvalRecord record = Evaluation(*test, data_settings(config), replica, world).run(1);
      if (world.rank() != 0) return;
      if (!alone) alone = record;
      CHECK(record.images == images);
      CHECK((record.top1 == alone->top1 && record.top5 == alone->top5));
      CHECK(record.loss == Approx(alone->loss).epsilon(1e-5));
    });
  }
}
