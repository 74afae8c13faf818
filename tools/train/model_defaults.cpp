// The paper's sizes (method.md section 8) where a config leaves them open, and the checks that a
// model's sizes fit one another.
#include "engine/error.h"
#include "tools/train/config.h"

namespace ab {
namespace {

struct PaperModel {
  const char* name;
  bool vit;
  int classes, image, depth, dim, heads, patch;
  double drop_path, dropout;
};

constexpr PaperModel kPaperModels[] = {
    {"vgg16", false, 10, 32, 0, 0, 0, 0, 0.0, 0.0},
    {"resnet18", false, 1000, 224, 0, 0, 0, 0, 0.0, 0.1},
    {"resnet34", false, 1000, 224, 0, 0, 0, 0, 0.0, 0.1},
    {"resnet50", false, 1000, 224, 0, 0, 0, 0, 0.0, 0.1},
    {"vit", true, 1000, 224, 12, 768, 12, 16, 0.1, 0.0},
    {"mini-vit", true, 100, 32, 6, 768, 6, 8, 0.0, 0.0},
};

const PaperModel& paper_model(const std::string& name) {
  std::string names;
  for (const PaperModel& model : kPaperModels) {
    if (name == model.name) return model;
    names += (names.empty() ? "" : ", ") + std::string(model.name);
  }
  throw ConfigError("model.name: " + (name.empty() ? "is missing" : "found \"" + name + "\"") +
                    ", expected one of " + names);
}

template <class T>
void fill(std::optional<T>& field, T value) {
  if (!field) field = value;
}

// Keys of the other family would have no effect; neutral values pass.
void check_family(const Config::Model& model, const PaperModel& paper) {
  const auto refuse = [&](bool given, const char* key, const char* family) {
    if (given)
      throw ConfigError(std::string("model.") + key + ": has no meaning for " + paper.name +
                        "; it is a size of " + family + ", remove it");
  };
  if (paper.vit) {
    refuse(model.width.value_or(1.0) != 1.0, "width", "vgg and resnet (a vit has dim)");
    return;
  }
  refuse(model.depth.has_value(), "depth", "vit and mini-vit");
  refuse(model.dim.has_value(), "dim", "vit and mini-vit (vgg and resnet have width)");
  refuse(model.heads.has_value(), "heads", "vit and mini-vit");
  refuse(model.patch.has_value(), "patch", "vit and mini-vit");
  refuse(model.mlp_ratio.has_value(), "mlp_ratio", "vit and mini-vit");
  refuse(model.drop_path.value_or(0.0) != 0.0, "drop_path", "vit and mini-vit");
}

void check_divides(const char* key, int value, const char* other, int total) {
  if (total % value == 0) return;
  std::string fits;
  for (int v = 1; v <= total; ++v)
    if (total % v == 0) fits += (fits.empty() ? "" : ", ") + std::to_string(v);
  throw ConfigError(std::string("model.") + key + ": found " + std::to_string(value) +
                    ", which does not divide model." + other + " = " + std::to_string(total) +
                    "; these do: " + fits);
}

}  // namespace

Config with_model_defaults(Config config) {
  Config::Model& model = config.model;
  const PaperModel& paper = paper_model(model.name);
  check_family(model, paper);
  fill(model.classes, paper.classes);
  fill(model.image, paper.image);
  fill(model.channels, config.data.format == "idx" ? 1 : 3);
  fill(model.drop_path, paper.drop_path);
  fill(model.dropout, paper.dropout);
  if (paper.vit) {
    fill(model.depth, paper.depth);
    fill(model.dim, paper.dim);
    fill(model.heads, paper.heads);
    fill(model.patch, paper.patch);
    fill(model.mlp_ratio, 4);
    check_divides("patch", *model.patch, "image", *model.image);
    check_divides("heads", *model.heads, "dim", *model.dim);
  } else {
    fill(model.width, 1.0);
  }
  if (model.name == "vgg16" && *model.image < 32)
    throw ConfigError("model.image: found " + std::to_string(*model.image) +
                      ", expected at least 32 for vgg16, which halves the image five times");
  if (model.channels == 2)
    throw ConfigError("model.channels: found 2, expected 1 (grey) or 3 (colour)");
  if (!config.data.augment) {
    const std::string& format = config.data.format;
    config.data.augment = format == "cifar10" || format == "cifar100"      ? "cifar"
                          : format == "image_folder" || format == "shards" ? "imagenet"
                                                                           : "none";
  }
  return config;
}

}  // namespace ab
