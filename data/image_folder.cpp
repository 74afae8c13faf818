// A folder of class folders, the layout of ImageNet as PyTorch's users keep it:
//   DIR/train/<class>/*.jpg, .jpeg, .png (any case); the test split in DIR/val, or in DIR/test.
// The label of a class is its place among the sorted names of the training classes (of the
// validation classes where there is no training folder); for ImageNet's synsets that is the usual
// order. DIR/classes.txt, or DIR/LOC_synset_mapping.txt as ImageNet is handed out, says otherwise:
// a line per class, its first word the folder's name, the line's place the label; then a folder may
// be missing. Either way there are as many classes as the model has. Images are numbered class by
// class, sorted by name. Opening lists the folders; a file is opened when it is read.
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>

#include "data/decode.h"
#include "data/formats.h"
#include "engine/error.h"

namespace ab {

namespace fs = std::filesystem;

namespace {

bool is_image(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return path.filename().string().front() != '.' &&
         (ending == ".jpg" || ending == ".jpeg" || ending == ".png");
}

std::vector<std::string> sorted_names(const fs::path& dir,
                                      bool (*wanted)(const fs::directory_entry&)) {
  std::vector<std::string> names;
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(dir))
      if (wanted(entry)) names.push_back(entry.path().filename().string());
  } catch (const fs::filesystem_error& error) {
    throw DataError("cannot list " + dir.string() + ": " + error.code().message());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> class_names(const fs::path& dir) {
  std::vector<std::string> names = sorted_names(dir, [](const fs::directory_entry& entry) {
    return entry.is_directory() && entry.path().filename().string().front() != '.';
  });
  if (names.empty())
    throw DataError(dir.string() + " holds no class folder; expected " + dir.string() +
                    "/<class>/*.jpg");
  return names;
}

void read_file(const std::string& path, std::vector<uint8_t>& bytes) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw DataError("cannot open " + path + ": " + std::strerror(errno));
  size_t used = 0;
  while (true) {
    if (bytes.size() < used + (size_t{1} << 16)) bytes.resize(used + (size_t{1} << 18));
    const size_t got = std::fread(bytes.data() + used, 1, bytes.size() - used, file.get());
    if (got == 0) break;
    used += got;
  }
  if (std::ferror(file.get())) throw DataError("cannot read " + path + ": " + std::strerror(errno));
  bytes.resize(used);
}

// Names lie one after the other in one string: a million small strings would cost 100 MB a rank.
class ImageFolder final : public Dataset {
 public:
  ImageFolder(fs::path dir, std::vector<std::string> classes)
      : dir_(std::move(dir)), classes_(std::move(classes)) {}

  void add(int label, const std::string& name) {
    starts_.push_back(names_.size());
    labels_.push_back(label);
    names_.append(name).push_back('\0');
  }

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  int classes() const override { return static_cast<int>(classes_.size()); }
  int label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  int channels() const override { return 3; }
  int height() const override { return 0; }
  int width() const override { return 0; }
  const char* format() const override { return "image_folder"; }
  std::vector<std::string> class_names() const override { return classes_; }

  void read(int64_t index, Image& image) const override {
    static thread_local std::vector<uint8_t> bytes;
    static thread_local std::string path;
    path = dir_.native();
    path.append("/").append(classes_[static_cast<size_t>(label(index))]).append("/");
    path.append(&names_[starts_[static_cast<size_t>(index)]]);
    read_file(path, bytes);
    decode_image(bytes, path, image);
  }

 private:
  fs::path dir_;
  std::vector<std::string> classes_;
  std::string names_;
  std::vector<size_t> starts_;
  std::vector<int32_t> labels_;
};

fs::path split_dir(const fs::path& dir, Split split) {
  if (split == Split::kTrain) {
    if (!there(dir / "train"))
      throw DataError((dir / "train").string() + " is missing; expected " + dir.string() +
                      "/train/<class>/*.jpg");
    return dir / "train";
  }
  for (const char* name : {"val", "test"})
    if (there(dir / name)) return dir / name;
  throw DataError(dir.string() + " holds neither val nor test; expected " + dir.string() +
                  "/val/<class>/*.jpg");
}

// The classes of a run in the order of their labels, and where they are written down.
struct ClassMap {
  fs::path source;
  bool listed = false;  // by a file, not by folders
  std::vector<std::string> names;
};

std::vector<std::string> listed_names(const fs::path& path) {
  std::ifstream file(path);
  if (!file) throw DataError("cannot open " + path.string() + ": " + std::strerror(errno));
  std::vector<std::string> names;
  std::map<std::string, size_t> lines;
  for (std::string line; std::getline(file, line);) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos) continue;
    names.push_back(line.substr(begin, line.find_first_of(" \t\r", begin) - begin));
    const auto [first, is_new] = lines.emplace(names.back(), names.size());
    if (!is_new)
      throw DataError(path.string() + ": class " + names.back() + " is entry " +
                      std::to_string(first->second) + " and entry " + std::to_string(names.size()) +
                      "; each class once would work");
  }
  return names;
}

ClassMap class_map(const fs::path& root, const fs::path& dir) {
  for (const char* name : {"classes.txt", "LOC_synset_mapping.txt"})
    if (there(root / name)) return {root / name, true, listed_names(root / name)};
  const fs::path source = there(root / "train") ? root / "train" : dir;
  return {source, false, class_names(source)};
}

void check_count(const ClassMap& map, const DataSettings& settings) {
  const size_t count = map.names.size();
  if (settings.classes == 0 || count == static_cast<size_t>(settings.classes)) return;
  std::string text = map.source.string() + (map.listed ? " lists " : " holds ") +
                     std::to_string(count) + (map.listed ? " classes" : " class folders") +
                     ", but model.classes is " + std::to_string(settings.classes) +
                     "; model.classes of " + std::to_string(count) + " would work";
  if (!map.listed && count < static_cast<size_t>(settings.classes))
    text += ", or a file classes.txt beside it that lists all classes";
  throw DataError(text);
}

}  // namespace

std::unique_ptr<Dataset> open_image_folder(const DataSettings& settings, Split split) {
  const fs::path root = checked_dir(settings), dir = split_dir(root, split);
  const ClassMap map = class_map(root, dir);
  check_count(map, settings);
  std::map<std::string, int> labels;
  for (const std::string& name : map.names) labels.emplace(name, static_cast<int>(labels.size()));
  auto dataset = std::make_unique<ImageFolder>(dir, map.names);
  for (const std::string& name : class_names(dir)) {
    const auto place = labels.find(name);
    if (place == labels.end())
      throw DataError((dir / name).string() + " is a class that " + map.source.string() +
                      " does not have");
    const std::vector<std::string> files =
        sorted_names(dir / name, [](const fs::directory_entry& entry) {
          return is_image(entry.path()) && entry.is_regular_file();
        });
    if (files.empty())
      throw DataError("class folder " + (dir / name).string() +
                      " holds no image; expected .jpg, .jpeg or .png files, or no such folder");
    for (const std::string& file : files) dataset->add(place->second, file);
  }
  return dataset;
}

}  // namespace ab
