// Figures of the paper, arXiv 2405.01067: Table I (accuracy, compression, effective compression
// ratio) and Table II at a global batch of 4096 on 4 nodes of 4 GPUs. `traffic` is AB's inter-node
// traffic relative to DDP, from the table's own figures; the paper counts group phases and merges
// as zero. NaN: not published.
#pragma once
#include <limits>

namespace ab::report {

struct Published {
  const char *model, *data, *method, *setting;
  double compression, top1, difference, ecr, traffic;  // : 1, %, points against ddp, %, %
};

constexpr double kNotPublished = std::numeric_limits<double>::quiet_NaN();

constexpr Published kPublished[] = {
    {"ViT-B/16", "ImageNet", "ab", "Table II, 4 nodes", kNotPublished, 70.90, kNotPublished,
     kNotPublished, 32.2},
    {"ViT-B/16", "ImageNet", "ab-nogroups", "Table II, 4 nodes", kNotPublished, 67.81,
     kNotPublished, kNotPublished, kNotPublished},
    {"ViT-B/16", "ImageNet", "ddp", "Table II, 4 nodes", kNotPublished, 69.15, kNotPublished,
     kNotPublished, kNotPublished},
    {"ResNet-50", "ImageNet", "ab", "Table I", 1.39, kNotPublished, 1.55, 73.29, kNotPublished},
    {"ResNet-50", "ImageNet", "ab", "Table II, 4 nodes", kNotPublished, 74.61, kNotPublished,
     kNotPublished, 27.9},
    {"ResNet-50", "ImageNet", "ab-nogroups", "Table II, 4 nodes", kNotPublished, 73.68,
     kNotPublished, kNotPublished, kNotPublished},
    {"ResNet-50", "ImageNet", "ddp", "Table II, 4 nodes", kNotPublished, 73.67, kNotPublished,
     kNotPublished, kNotPublished},
    {"VGG16", "CIFAR-10", "ab", "Table I", 44.14, 91.87, -0.23, 65.60, kNotPublished},
};

}  // namespace ab::report
