// pack_images: a folder of class folders (data.format = image_folder) as shards (data/shards.h):
// decoded and scaled once, for those whom decoding cannot feed.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "data/decode.h"
#include "data/resize.h"
#include "data/shards.h"
#include "tools/train/exit_codes.h"
#include "tools/train/options.h"

namespace ab {
namespace {

struct PackOptions {
  std::string in, out;
  int short_side = 256;
  int64_t shard_mb = 1024;
  bool skip = false;
};

// Scaled down so that the shorter side has `side` pixels; smaller images stay as they are.
void scale(Image& image, int side, ResizeScratch& scratch, Image& scaled) {
  const int shorter = std::min(image.height, image.width);
  if (side == 0 || shorter <= side) return;
  const auto to = [&](int size) {
    return static_cast<int>(std::lround(static_cast<double>(size) * side / shorter));
  };
  scaled.height = to(image.height);
  scaled.width = to(image.width);
  scaled.channels = 3;
  scaled.pixels.resize(size_t{3} * scaled.height * scaled.width);
  resize_bilinear(image, {0, image.height, scaled.height, 0, scaled.height},
                  {0, image.width, scaled.width, 0, scaled.width}, scratch, scaled.pixels.data());
  std::swap(image, scaled);
}

void pack(const PackOptions& options, Split split) {
  DataSettings settings;
  settings.format = "image_folder";
  settings.dir = options.in;
  settings.classes = 0;
  const auto images = open_dataset(settings, split);
  ShardWriter writer(options.out, split, images->class_names(), options.shard_mb << 20);
  Image image, scaled;
  ResizeScratch scratch;
  for (int64_t i = 0; i < images->size(); ++i) {
    try {
      images->read(i, image);
    } catch (const BadImage& bad) {
      if (!options.skip) throw;
      std::fprintf(stderr, "pack_images: left out: %s\n", bad.what());
      continue;
    }
    scale(image, options.short_side, scratch, scaled);
    writer.add(image, images->label(i));
  }
  writer.finish();
  std::printf("%s: %lld of %lld images, %zu shards, %.1f MB, %.0f bytes an image\n",
              split == Split::kTrain ? "train" : "val", static_cast<long long>(writer.images()),
              static_cast<long long>(images->size()), writer.shards(),
              static_cast<double>(writer.bytes()) * 1e-6,
              static_cast<double>(writer.bytes()) / static_cast<double>(writer.images()));
}

int run(int argc, char** argv) {
  PackOptions options;
  CLI::App app{
      "Decodes a folder of class folders once and writes shards that data.format=shards reads."};
  app.add_option("--in", options.in, "folder with train/<class>/ and, where there is one, val/")
      ->required()
      ->type_name("DIR");
  app.add_option("--out", options.out, "folder for the shards; made if missing")
      ->required()
      ->type_name("DIR");
  app.add_option("--short-side", options.short_side,
                 "pixels of the shorter side; smaller images stay as they are; 0: all stay")
      ->check(CLI::Range(0, 8192))
      ->capture_default_str();
  app.add_option("--shard-mb", options.shard_mb, "a shard ends after so many MB")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_flag("--skip-bad", options.skip,
               "leave out images that do not decode, naming each, instead of ending with 3");
  app.set_version_flag("--version", version_text());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  std::filesystem::create_directories(options.out);
  pack(options, Split::kTrain);
  if (std::filesystem::exists(options.in + "/val") || std::filesystem::exists(options.in + "/test"))
    pack(options, Split::kTest);
  return kExitDone;
}

}  // namespace
}  // namespace ab

int main(int argc, char** argv) {
  return ab::guarded([&] { return ab::run(argc, argv); });
}
