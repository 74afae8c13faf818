// Dataset: images by number. Decoding is the dataset's business, order and augmentation the
// loader's.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ab {

struct Image {
  int height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;  // (height, width, channels)
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual int classes() const = 0;
  virtual int label(int64_t index) const = 0;
  // Of every stored image: colour channels (the network's input channels), and the size in pixels,
  // 0 where it varies from image to image.
  virtual int channels() const = 0;
  virtual int height() const = 0;
  virtual int width() const = 0;
  // Fills `image`, reusing its memory. Safe from several threads. Throws DataError with file, what
  // was found, and what would work.
  virtual void read(int64_t index, Image& image) const = 0;
  virtual const char* format() const = 0;
  // By label; empty where the format names none.
  virtual std::vector<std::string> class_names() const { return {}; }
};

enum class Split : uint8_t { kTrain, kTest };

struct DataSettings {
  std::string format = "cifar10";  // cifar10, cifar100, idx, image_folder, shards,
                                   // synthetic
  std::string dir;
  std::string augment = "cifar";      // cifar, imagenet, none
  std::string on_bad_image = "stop";  // stop, skip: what the loader does about an image's damage
  int64_t local_batch = 128;
  int workers = 2;
  int image = 32;                   // side of the square that the network sees
  int classes = 10;                 // of the model; 0: as many as a folder or shards have
  int64_t synthetic_images = 4096;  // format synthetic
  uint64_t seed = 1;
};

// Opens and checks: files, sizes, magics, labels below settings.classes. Throws DataError.
std::unique_ptr<Dataset> open_dataset(const DataSettings& settings, Split split);

}  // namespace ab
