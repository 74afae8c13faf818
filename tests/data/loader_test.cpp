// Loader: what a batch holds depends on (seed, epoch, sample) alone.
#include "data/loader.h"

#include <algorithm>
#include <set>

#include "data/augmentation.h"
#include "engine/error.h"
#include "tests/data/fixtures.h"
#include "tests/data/pictures.h"

namespace ab::test {

namespace {

struct Record {
  int64_t sample = 0;
  int32_t label = 0, top = 0, left = 0, flip = 0;
  Bytes pixels;
  bool operator==(const Record&) const = default;
};

DataSettings synthetic(int64_t images, int64_t local_batch, int workers) {
  DataSettings settings;
  settings.format = "synthetic";
  settings.synthetic_images = images;
  settings.local_batch = local_batch;
  settings.workers = workers;
  settings.image = 8;
  return settings;
}

void append(std::vector<Record>& records, const HostBatch& batch) {
  const size_t bytes = static_cast<size_t>(batch.height * batch.width * batch.channels);
  REQUIRE(batch.pixels.size() == bytes * static_cast<size_t>(batch.count));
  for (size_t i = 0; i < static_cast<size_t>(batch.count); ++i) {
    const auto from = batch.pixels.begin() + static_cast<ptrdiff_t>(i * bytes);
    records.push_back({batch.samples[i], batch.labels[i], batch.crops[i].top, batch.crops[i].left,
                       batch.crops[i].flip, Bytes(from, from + static_cast<ptrdiff_t>(bytes))});
  }
}

std::vector<Record> take(Loader& loader, int64_t steps) {
  std::vector<Record> records;
  for (int64_t s = 0; s < steps; ++s) append(records, loader.next());
  return records;
}

}  // namespace

TEST_CASE("Any number of workers gives the same batches, over epoch borders", "[data]") {
  const DataSettings settings = synthetic(210, 20, 0);  // 10 steps an epoch, 10 images left out
  const auto dataset = open_dataset(settings, Split::kTrain);
  Loader alone(*dataset, settings, Split::kTrain, 0, 1);
  REQUIRE(alone.steps_per_epoch() == 10);
  const auto expected = take(alone, 25);
  REQUIRE(expected.size() == 500);
  for (const int workers : {1, 2, 7, 40}) {
    Loader loader(*dataset, synthetic(210, 20, workers), Split::kTrain, 0, 1);
    CHECK(take(loader, 25) == expected);
  }
  // The images of an epoch are the beginning of its permutation, each as the dataset stores it.
  const auto order = epoch_order(210, settings.seed, 1);
  Image image;
  for (int64_t i = 0; i < 200; ++i) {
    const Record& record = expected[static_cast<size_t>(200 + i)];
    REQUIRE(record.sample == order[static_cast<size_t>(i)]);
    dataset->read(record.sample, image);
    REQUIRE(record.pixels == image.pixels);
    REQUIRE(record.label == dataset->label(record.sample));
    const CropFlip crop = crop_flip_of({settings.seed, 1, record.sample}, 4);
    REQUIRE((record.top == crop.top && record.left == crop.left && record.flip == crop.flip));
  }
}

TEST_CASE("Four ranks of five are one rank of twenty, in order", "[data]") {
  const auto dataset = open_dataset(synthetic(210, 20, 0), Split::kTrain);
  Loader whole(*dataset, synthetic(210, 20, 2), Split::kTrain, 0, 1);
  const auto expected = take(whole, 12);
  std::vector<std::unique_ptr<Loader>> ranks;
  for (int rank = 0; rank < 4; ++rank)
    ranks.push_back(
        std::make_unique<Loader>(*dataset, synthetic(210, 5, rank), Split::kTrain, rank, 4));
  std::vector<Record> dealt;
  for (int step = 0; step < 12; ++step)
    for (int rank = 0; rank < 4; ++rank) {
      const HostBatch& batch = ranks[static_cast<size_t>(rank)]->next();
      CHECK(batch.count == 5);
      CHECK(batch.first_sample == 5 * rank);
      append(dealt, batch);
    }
  CHECK(dealt == expected);
}

TEST_CASE("Validation takes every image exactly once, whatever the world", "[data]") {
  const int64_t images = GENERATE(1, 2, 13, 40);
  const auto dataset = open_dataset(synthetic(8 * images, 3, 0), Split::kTest);
  REQUIRE(dataset->size() == images);
  for (const int world : {1, 3, 7}) {
    std::vector<int> seen(static_cast<size_t>(images), 0);
    for (int rank = 0; rank < world; ++rank) {
      Loader loader(*dataset, synthetic(8 * images, 3, rank % 3), Split::kTest, rank, world);
      REQUIRE(loader.steps_per_epoch() == (images + 3 * world - 1) / (3 * world));
      for (const Record& r : take(loader, loader.steps_per_epoch())) {
        ++seen[static_cast<size_t>(r.sample)];
        CHECK((r.top == 4 && r.left == 4 && r.flip == 0));
      }
      // The next pass is the same one.
      loader.seek(5, 0);
      const HostBatch& again = loader.next();
      CHECK(again.count == std::clamp<int64_t>(images - rank * 3, 0, 3));
      if (again.count > 0) CHECK(again.samples[0] == rank * 3);
    }
    CHECK(seen == std::vector<int>(static_cast<size_t>(images), 1));
  }
}

TEST_CASE("Seek goes to any place and back", "[data]") {
  const int workers = GENERATE(0, 3);
  const DataSettings settings = synthetic(100, 10, workers);
  const auto dataset = open_dataset(settings, Split::kTrain);
  Loader straight(*dataset, settings, Split::kTrain, 0, 1);
  const auto all = take(straight, 40);
  Loader loader(*dataset, settings, Split::kTrain, 0, 1);
  const int64_t places[][2] = {{2, 3}, {0, 0}, {0, 1}, {3, 9}, {1, 10}, {0, 5}};
  for (const auto& [epoch, step] : places) {
    loader.seek(epoch, step);
    const int64_t first = epoch * 10 + step, steps = std::min<int64_t>(3, 40 - first);
    CHECK(take(loader, steps) ==
          std::vector<Record>(all.begin() + first * 10, all.begin() + (first + steps) * 10));
  }
  CHECK(holds(message_of<ConfigError>([&] { loader.seek(0, 11); }), {"step 11", "10 steps"}));
}

TEST_CASE("A worker's error arrives with its batch, and again until the place changes", "[data]") {
  TempDir dir;
  for (int i = 0; i < 20; ++i)
    write_file(dir / ("train/c/" + std::to_string(100 + i) + ".png"), png_of(gradient(8, 8, 3)));
  DataSettings settings = settings_of("image_folder", dir.path(), 1);
  settings.image = 8;
  settings.workers = GENERATE(0, 1, 4);
  const auto dataset = open_dataset(settings, Split::kTrain);
  // The image in step 2, place 1 of epoch 0 loses its second half.
  const int64_t broken = epoch_order(20, settings.seed, 0)[9];
  const fs::path file = dir / ("train/c/" + std::to_string(100 + broken) + ".png");
  const Bytes whole = read_bytes(file);
  write_file(file, Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(whole.size() / 2)));
  Loader loader(*dataset, settings, Split::kTrain, 0, 1);
  CHECK(take(loader, 2).size() == 8);
  for (int i = 0; i < 3; ++i)
    CHECK(holds(message_of<DataError>([&] { loader.next(); }), {file.string()}));
  loader.seek(0, 3);
  CHECK(loader.next().count == 4);
  write_file(file, whole);
  loader.seek(0, 2);
  CHECK(loader.next().samples[1] == broken);
}

TEST_CASE("A loader can be left at any moment", "[data]") {
  const DataSettings settings = synthetic(500, 50, 4);
  const auto dataset = open_dataset(settings, Split::kTrain);
  int64_t samples = 0;
  for (int i = 0; i < 100; ++i) {
    Loader loader(*dataset, settings, Split::kTrain, 0, 1);
    if (i % 3 == 0) loader.seek(i, i % 10);
    for (int n = 0; n < i % 5; ++n) samples += loader.next().count;
    if (i % 7 == 0) loader.seek(0, 0);
  }
  CHECK(samples == 100 * 2 * 50);
}

TEST_CASE("Batches reuse their memory", "[data]") {
  const DataSettings settings = synthetic(96, 32, 2);  // 2 chunks a batch: a ring of 1 + 2
  const auto dataset = open_dataset(settings, Split::kTrain);
  Loader loader(*dataset, settings, Split::kTrain, 0, 1);
  std::set<const uint8_t*> addresses;
  for (int i = 0; i < 60; ++i) addresses.insert(loader.next().pixels.data());
  CHECK(addresses.size() == 3);
}

TEST_CASE("Worlds that leave a rank without a sample are refused with what would work", "[data]") {
  const auto message = [](int64_t images, int64_t local_batch, int world) {
    const DataSettings settings = synthetic(images, local_batch, 0);
    const auto dataset = open_dataset(settings, Split::kTrain);
    return message_of<ConfigError>([&] { Loader(*dataset, settings, Split::kTrain, 0, world); });
  };
  CHECK(message(64, 16, 4).empty());
  CHECK(holds(message(63, 16, 4), {"63 training images", "4 ranks x data.local_batch 16 = 64",
                                   "local_batch of at most 15", "at most 3 ranks"}));
  CHECK(holds(message(10, 16, 4), {"local_batch of at most 2 would work"}));
  CHECK(holds(message(3, 2, 4), {"at most 1 ranks would work"}));
  CHECK(holds(message(3, 16, 4), {"one rank with data.local_batch of at most 3"}));
  CHECK(holds(message(64, 0, 4), {"data.local_batch 0"}));
}

TEST_CASE("Settings that cannot be are refused", "[data]") {
  DataSettings settings = synthetic(64, 4, 0);
  const auto dataset = open_dataset(settings, Split::kTrain);
  const auto message = [&] {
    return message_of<ConfigError>([&] { Loader(*dataset, settings, Split::kTrain, 0, 1); });
  };
  settings.workers = -1;
  CHECK(holds(message(), {"data.workers is -1"}));
  settings.workers = 0;
  settings.augment = "mixup";
  CHECK(holds(message(), {"mixup", "cifar, imagenet, none"}));
  settings.augment = "none";
  settings.image = 0;
  CHECK(holds(message(), {"model.image is 0"}));
}

}  // namespace ab::test
