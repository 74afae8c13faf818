// bench_data: images per second of the way from a file to the network, on one core stage by stage,
// then with the loader's threads. Each stage includes those before it.
//   read       file to (height, width, 3) bytes: decoding, or a shard's copy
//   crop       + random-resized-crop and resize to the network's size
//   normalise  + flip and normalisation to fp32, as the host device does it
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "data/prepare.h"
#include "tools/train/config.h"
#include "tools/train/device_batch.h"
#include "tools/train/exit_codes.h"
#include "tools/train/options.h"

namespace ab {
namespace {

struct BenchOptions {
  DataSettings data;
  double seconds = 3.0;
  std::vector<int> workers = {1, 2};
  bool json = false;
};

// Images per second of body(n), which works on image n, over whole passes.
double rate(int64_t images, double seconds, const std::function<void(int64_t)>& body) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  int64_t done = 0;
  double passed = 0.0;
  do {
    for (int64_t i = 0; i < images; ++i) body(i);
    done += images;
    passed = std::chrono::duration<double>(Clock::now() - begin).count();
  } while (passed < seconds);
  return static_cast<double>(done) / passed;
}

class Stages {
 public:
  Stages(const Dataset& images, const DataSettings& data)
      : images_(images),
        preparer_(data, Split::kTrain),
        device_(Device::create(DeviceKind::kHost, 0, 1)),
        arena_(*device_),
        batch_(*device_, 1, data.image, normalisation_of(data)) {
    host_.count = 1;
    host_.height = host_.width = data.image;
    host_.channels = 3;
    host_.crops.resize(1);
    host_.labels.resize(1);
    host_.pixels.resize(size_t{3} * data.image * data.image);
  }

  void read(int64_t i) { images_.read(i, image_); }
  void crop(int64_t i) {
    read(i);
    preparer_.prepare(image_, 0, i, scratch_, host_.pixels.data(), host_.crops[0]);
  }
  void normalise(int64_t i) {
    crop(i);
    batch_.upload(host_);
    {
      Context context(*device_, arena_);
      batch_.images(context);
    }
    arena_.end_step();
  }

 private:
  const Dataset& images_;
  Preparer preparer_;
  Image image_;
  ResizeScratch scratch_;
  HostBatch host_;
  std::unique_ptr<Device> device_;
  Arena arena_;
  DeviceBatch batch_;
};

double loader_rate(const Dataset& images, DataSettings data, int workers, double seconds) {
  data.workers = workers;
  Loader loader(images, data, Split::kTrain, 0, 1);
  loader.next();
  return rate(1, seconds, [&](int64_t) { loader.next(); }) * static_cast<double>(data.local_batch);
}

int measure(BenchOptions options) {
  options.data.classes = 0;
  const auto images = open_dataset(options.data, Split::kTrain);
  options.data.local_batch = std::min(options.data.local_batch, images->size());
  Stages stages(*images, options.data);
  stages.read(0);
  const auto timed = [&](void (Stages::*stage)(int64_t)) {
    return rate(images->size(), options.seconds, [&](int64_t i) { (stages.*stage)(i); });
  };
  const double read = timed(&Stages::read), crop = timed(&Stages::crop),
               normalise = timed(&Stages::normalise);
  Json loaders = Json::array();
  for (const int workers : options.workers)
    loaders.push_back(
        {{"workers", workers},
         {"images_per_s", loader_rate(*images, options.data, workers, options.seconds)}});
  if (options.json) {
    const Json json = {{"format", options.data.format},
                       {"images", images->size()},
                       {"image", options.data.image},
                       {"read_images_per_s", read},
                       {"crop_images_per_s", crop},
                       {"normalise_images_per_s", normalise},
                       {"loaders", loaders}};
    std::printf("%s\n", json.dump().c_str());
    return kExitDone;
  }
  std::printf("%lld images of format %s to %d x %d; images/s on one core, stages added up\n",
              static_cast<long long>(images->size()), options.data.format.c_str(),
              options.data.image, options.data.image);
  std::printf("  read                         %8.1f\n", read);
  std::printf("  read, crop                   %8.1f\n", crop);
  std::printf("  read, crop, flip, normalise  %8.1f\n", normalise);
  for (const Json& row : loaders)
    std::printf("  loader, %d workers            %8.1f\n", row["workers"].get<int>(),
                row["images_per_s"].get<double>());
  return kExitDone;
}

int run(int argc, char** argv) {
  BenchOptions options;
  options.data.format = "image_folder";
  options.data.augment = "imagenet";
  options.data.image = 224;
  options.data.local_batch = 50;
  CLI::App app{"Times the way of training images from files to the network's input."};
  app.add_option("--data", options.data.dir, "folder with train/<class>/, or with shards")
      ->required()
      ->type_name("DIR");
  app.add_option("--format", options.data.format, "image_folder or shards")
      ->check(CLI::IsMember({"image_folder", "shards"}));
  app.add_option("--image", options.data.image, "side of the square that the network sees")
      ->check(CLI::Range(1, 8192));
  app.add_option("--batch", options.data.local_batch, "images of a batch")
      ->check(CLI::PositiveNumber);
  app.add_option("--workers", options.workers, "loader threads, one measurement each")
      ->check(CLI::Range(0, 1024));
  app.add_option("--seconds", options.seconds, "how long to measure each stage, at least a pass");
  app.add_flag("--json", options.json, "one JSON object on stdout");
  app.set_version_flag("--version", version_text());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  return measure(options);
}

}  // namespace
}  // namespace ab

int main(int argc, char** argv) {
  return ab::guarded([&] { return ab::run(argc, argv); });
}
