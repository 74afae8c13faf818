// data.on_bad_image: what the loader does about images that do not decode, for every split, world
// and number of workers.
#include <map>

#include "data/decode.h"
#include "data/loader.h"
#include "data/order.h"
#include "engine/error.h"
#include "tests/data/fixtures.h"
#include "tests/data/pictures.h"

namespace ab::test {

namespace {

constexpr int kImages = 24;
constexpr int64_t kCut = 5, kText = 17, kEmpty = 18;

bool is_bad(int64_t image) {
  return image == kCut || image == kText || image == kEmpty;
}

// 24 pictures of two classes in both splits, told apart by their height; three do not decode.
class Folder {
 public:
  Folder() {
    for (const char* split : {"train", "val"})
      for (int i = 0; i < kImages; ++i) write_file(file(split, i), bytes(i));
  }

  fs::path file(const std::string& split, int64_t i) const {
    return dir_ / (split + (i < kImages / 2 ? "/a/" : "/b/") + std::to_string(100 + i) + ".jpg");
  }

  DataSettings settings(const std::string& policy, int64_t local_batch, int workers) const {
    DataSettings settings = settings_of("image_folder", dir_.path(), 2);
    settings.on_bad_image = policy;
    settings.augment = "imagenet";
    settings.image = 8;
    settings.local_batch = local_batch;
    settings.workers = workers;
    return settings;
  }

 private:
  static Bytes bytes(int i) {
    Bytes whole = jpeg_of(gradient(16 + i, 16, 3));
    if (i == kCut) whole.resize(whole.size() / 2);
    if (i == kText) whole = {'n', 'o', ' ', 'i', 'm', 'a', 'g', 'e'};
    if (i == kEmpty) whole.clear();
    return whole;
  }

  TempDir dir_;
};

struct Sample {
  int64_t shown = 0;
  int32_t label = 0, flip = 0;
  Bytes pixels;
  bool operator==(const Sample&) const = default;
};

// All samples of the first steps, in the order of the global batch; skipped: the count over ranks.
std::vector<Sample> samples_of(const Folder& folder, Split split, int world, int workers,
                               int64_t steps, int64_t* skipped) {
  const DataSettings settings = folder.settings("skip", 12 / world, workers);
  const auto dataset = open_dataset(settings, split);
  std::vector<std::unique_ptr<Loader>> ranks;
  for (int rank = 0; rank < world; ++rank)
    ranks.push_back(std::make_unique<Loader>(*dataset, settings, split, rank, world));
  std::vector<Sample> samples;
  for (int64_t step = 0; step < steps; ++step)
    for (auto& rank : ranks) {
      const HostBatch& batch = rank->next();
      *skipped += batch.skipped;
      CHECK(batch.first_skipped.empty() == (batch.skipped == 0));
      for (int64_t i = 0; i < batch.count; ++i) {
        const size_t at = static_cast<size_t>(i);
        const auto from = batch.pixels.begin() + i * 192;
        samples.push_back(
            {batch.samples[at], batch.labels[at], batch.crops[at].flip, Bytes(from, from + 192)});
      }
    }
  return samples;
}

}  // namespace

TEST_CASE("By default an image that does not decode ends the epoch, with its name", "[data]") {
  const Folder folder;
  CHECK(DataSettings().on_bad_image == "stop");
  const DataSettings settings = folder.settings("stop", 12, 2);
  const auto dataset = open_dataset(settings, Split::kTest);
  Loader loader(*dataset, settings, Split::kTest, 0, 1);
  CHECK(holds(message_of<BadImage>([&] { loader.next(); }),
              {folder.file("val", kCut).string(), "cut short", "data.on_bad_image=skip"}));
  const DataSettings other = folder.settings("ignore", 12, 2);
  CHECK(holds(message_of<ConfigError>([&] { Loader(*dataset, other, Split::kTest, 0, 1); }),
              {"data.on_bad_image", "ignore", "stop, skip"}));
}

TEST_CASE("In training another image stands in, whatever the ranks and workers", "[data]") {
  const Folder folder;
  const DataSettings settings = folder.settings("skip", 12, 0);
  int64_t skipped = 0;
  const auto expected = samples_of(folder, Split::kTrain, 1, 0, 6, &skipped);
  CHECK(skipped == 3 * 3);  // three epochs of two steps
  REQUIRE(expected.size() == 72);
  for (const int world : {2, 3, 4})
    for (const int workers : {0, 3}) {
      int64_t count = 0;
      CHECK(samples_of(folder, Split::kTrain, world, workers, 6, &count) == expected);
      CHECK(count == skipped);
    }
  // Places of whole images hold those; the others the first stand-in drawn that is whole.
  std::map<int64_t, int> stand_ins;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const auto order = epoch_order(kImages, settings.seed, epoch);
    for (int64_t i = 0; i < kImages; ++i) {
      const int64_t sample = order[static_cast<size_t>(i)];
      int64_t shown = sample;
      for (int attempt = 0; is_bad(shown); ++attempt)
        shown = substitute_of(kImages, settings.seed, epoch, sample, attempt);
      const Sample& found = expected[static_cast<size_t>(epoch * kImages + i)];
      REQUIRE(found.shown == shown);
      REQUIRE(found.label == (shown < kImages / 2 ? 0 : 1));
      if (shown != sample) ++stand_ins[shown];
    }
  }
  CHECK(stand_ins.size() > 3);  // another one in every epoch
}

TEST_CASE("Validation leaves the images out that do not decode, once each", "[data]") {
  const Folder folder;
  for (const int world : {1, 2, 3, 4})
    for (const int workers : {0, 2}) {
      int64_t skipped = 0;
      std::vector<int64_t> seen;
      for (const Sample& s : samples_of(folder, Split::kTest, world, workers, 2, &skipped)) {
        seen.push_back(s.shown);
        CHECK(s.label == (s.shown < kImages / 2 ? 0 : 1));
      }
      CHECK(skipped == 3);
      std::vector<int64_t> whole;
      for (int64_t i = 0; i < kImages; ++i)
        if (!is_bad(i)) whole.push_back(i);
      CHECK(seen == whole);
    }
}

TEST_CASE("A folder without a whole image is an error, not an endless search", "[data]") {
  TempDir dir;
  for (int i = 0; i < 4; ++i) write_file(dir / ("train/a/" + std::to_string(i) + ".jpg"), {1, 2});
  DataSettings settings = settings_of("image_folder", dir.path(), 1);
  settings.on_bad_image = "skip";
  const auto dataset = open_dataset(settings, Split::kTrain);
  Loader loader(*dataset, settings, Split::kTrain, 0, 1);
  CHECK(holds(message_of<DataError>([&] { loader.next(); }),
              {"16 images", "damaged too", dir.path().string()}));
}

TEST_CASE("A file that cannot be opened is no bad image", "[data]") {
  const Folder folder;
  const DataSettings settings = folder.settings("skip", 12, 0);
  const auto dataset = open_dataset(settings, Split::kTest);
  fs::remove(folder.file("val", 2));
  Loader loader(*dataset, settings, Split::kTest, 0, 1);
  CHECK(holds(message_of<DataError>([&] { loader.next(); }),
              {"cannot open", folder.file("val", 2).string()}));
}

}  // namespace ab::test
