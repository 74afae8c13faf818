// One row per configuration key: its field, its limits, its meaning (interface: "Config"). Parsing,
// config.json, the nearest known key and the reference page are all read off this table.
#include "tools/train/config_schema.h"

#include "tools/train/config_key.h"

namespace ab {
namespace {

std::vector<Key> model_keys() {
  return {
      make_key(AB_FIELD(method), words({"ddp", "ab", "ab-nogroups", "powersgd", "local-sgd"}),
               "ddp: plain data parallelism; ab: AB-training in groups; ab-nogroups: factored, one "
               "group; powersgd: low-rank gradients; local-sgd: groups that average weights"),
      make_key(AB_FIELD(model.name),
               words({"vgg16", "resnet18", "resnet34", "resnet50", "vit", "mini-vit"}),
               "the network; required"),
      make_key(AB_FIELD(model.classes), from(2, 1e6), "classes; the paper's for the model"),
      make_key(AB_FIELD(model.image), from(1, 8192), "side of the square image, pixels"),
      make_key(AB_FIELD(model.channels), from(1, 3), "1 for data.format idx, else 3"),
      make_key(AB_FIELD(model.width), Limits{.low = 0.0, .high = 16.0, .above_low = true},
               "factor on the channels of vgg and resnet"),
      make_key(AB_FIELD(model.depth), from(1, 1000), "blocks of a vit"),
      make_key(AB_FIELD(model.dim), from(1, 65536), "width of a vit; a multiple of heads"),
      make_key(AB_FIELD(model.heads), from(1, 1024), "attention heads of a vit"),
      make_key(AB_FIELD(model.patch), from(1, 1024), "patch side of a vit; divides image"),
      make_key(AB_FIELD(model.mlp_ratio), from(1, 64), "hidden width of a vit's MLP over dim"),
      make_key(AB_FIELD(model.drop_path), below_one(), "drop path of a vit's last block"),
      make_key(AB_FIELD(model.dropout), below_one(), "dropout, before the classifier"),
      make_key(AB_FIELD(data.format),
               words({"cifar10", "cifar100", "idx", "image_folder", "shards", "synthetic"}),
               "how the images are stored"),
      make_key(AB_FIELD(data.dir), {}, "folder of the data set; also --data"),
      make_key(AB_FIELD(data.local_batch), from(1, 1 << 20), "samples per rank and step"),
      make_key(AB_FIELD(data.global_batch), from(1, 1 << 30),
               "samples per step over all ranks; wins over local_batch"),
      make_key(AB_FIELD(data.augment), words({"cifar", "imagenet", "none"}),
               "augmentation; null: cifar for cifar10 and cifar100, imagenet for image_folder and "
               "shards, else none"),
      make_key(AB_FIELD(data.workers), from(0, 1024),
               "threads per rank that prepare batches; 0: the training thread itself"),
      make_key(AB_FIELD(data.on_bad_image), words({"stop", "skip"}),
               "an image that does not decode ends the run, or another one stands in for it in "
               "training and evaluation leaves it out"),
      make_key(AB_FIELD(data.synthetic_images), from(1, 1e9), "images of format synthetic"),
  };
}

std::vector<Key> train_keys() {
  return {
      make_key(AB_FIELD(train.epochs), Limits{.low = 0.0, .high = 1e6, .above_low = true},
               "length of the run and of the cosine"),
      make_key(AB_FIELD(train.steps_per_epoch), from(1, 1e9),
               "updates that count as one epoch; null: one pass over the images"),
      make_key(AB_FIELD(train.steps), from(1, 1e12),
               "updates of the run; wins over epochs; also --steps"),
      make_key(AB_FIELD(train.precision), words({"fp32", "bf16"}),
               "of activations and products; master weights are fp32. CPUs without AVX-512 "
               "multiply bf16 values in fp32"),
      make_key(AB_FIELD(train.tf32), {},
               "fp32 products and convolutions on a GPU may round their operands to TF32"),
      make_key(
          AB_FIELD(train.cuda_graph), {},
          "on a GPU a phase's third step is recorded as a CUDA graph, which the later ones launch"),
      make_key(AB_FIELD(train.seed), at_least(0),
               "of weights, order and augmentation; also --seed"),
      make_key(AB_FIELD(train.label_smoothing), below_one(), "share of the target spread evenly"),
      make_key(AB_FIELD(train.clip_norm), at_least(0),
               "largest global gradient norm; 0: no clipping"),
      make_key(AB_FIELD(train.init), words({"orthogonal", "default"}), "initial weights"),
      make_key(AB_FIELD(train.sync_bn), words({"phase", "world", "off"}),
               "who shares batch statistics: the ranks that average gradients in this phase, all, "
               "nobody"),
      make_key(AB_FIELD(train.eval_every), at_least(0),
               "epochs between evaluations; 0: only at the end"),
      make_key(
          AB_FIELD(train.check_every), from(0, 1e12),
          "steps between comparisons of the ranks that should hold the same weights; 0: at the "
          "borders of phases alone"),
      make_key(AB_FIELD(train.log_every), from(1, 1e9), "steps between lines of metrics.jsonl"),
      make_key(AB_FIELD(adamw.lr), above_zero(), "peak learning rate"),
      make_key(AB_FIELD(adamw.weight_decay), at_least(0), "decoupled weight decay"),
      make_key(AB_FIELD(adamw.beta1), below_one(), "decay of the first moment"),
      make_key(AB_FIELD(adamw.beta2), below_one(), "decay of the second moment"),
      make_key(AB_FIELD(adamw.eps), above_zero(), "added to the root of the second moment"),
      make_key(AB_FIELD(adamw.decay_exclude), {},
               "parameters without decay: part of a name, or a pattern with * and ?"),
      make_key(AB_FIELD(schedule.warmup_epochs), at_least(0), "epochs of linear warm-up"),
      make_key(AB_FIELD(schedule.warmup_lr), at_least(0), "learning rate of the first step"),
      make_key(AB_FIELD(schedule.min_lr), at_least(0), "learning rate at the end of the cosine"),
  };
}

std::vector<Key> ab_keys() {
  const Limits share{.of_ab_steps = true};
  return {
      make_key(AB_FIELD(ab.warmup_steps), {}, "full-rank steps before the first decomposition"),
      make_key(AB_FIELD(ab.ab_steps), {}, "steps of a group phase"),
      make_key(AB_FIELD(ab.rebound_steps), share, "full-rank steps after a merge"),
      make_key(AB_FIELD(ab.lr_rebound_steps), share,
               "steps in which the learning rate climbs back after a border"),
      make_key(AB_FIELD(ab.sigma_cutoff), below_one(),
               "singular values up to this share of the largest are dropped"),
      group_size_key(AB_FIELD(ab.group_size),
                     "ranks of a group, which exchange gradients during AB training; node: the "
                     "ranks of one node"),
      make_key(AB_FIELD(ab.merge), words({"all", "learned", "mean_of_products"}),
               "average a factor over all ranks, or over those that trained it; mean_of_products: "
               "half of A trained times B as it began, plus half of A as it began times B trained"),
      make_key(AB_FIELD(ab.moments), words({"zero", "keep", "project"}),
               "AdamW moments of a merged W: a fresh start, or those it had before the cycle; "
               "project: so, and a trained factor begins with what they imply for it"),
      make_key(AB_FIELD(ab.outer), words({"none", "nesterov"}),
               "nesterov: SGD with Nesterov momentum takes what a cycle changed as its gradient"),
      make_key(AB_FIELD(ab.outer_lr), above_zero(), "learning rate of ab.outer"),
      make_key(AB_FIELD(ab.outer_momentum), below_one(), "momentum of ab.outer"),
      make_key(AB_FIELD(ab.forward), words({"auto", "dense", "thin"}),
               "compute with A B multiplied out, with two thin products, or the cheaper"),
      make_key(AB_FIELD(ab.exclude), {},
               "layers that stay dense: part of a name, or a pattern with * and ?"),
      make_key(AB_FIELD(ab.guard), {}, "a layer stays dense where k(m+n) >= mn"),
      make_key(AB_FIELD(ab.svd), words({"auto", "gram", "full"}),
               "decomposition of the Gram matrix, full SVD, or what the cutoff allows"),
      make_key(AB_FIELD(ab.compat.schedule), {},
               "the reference's counting: W warm-up, cycles of S steps, D of them full-rank"),
      make_key(AB_FIELD(ab.compat.first_cut), {},
               "false: the first decomposition keeps every singular value"),
      make_key(AB_FIELD(ab.compat.moments), {},
               "true: the reference's moments (stale, sliced, not averaged)"),
  };
}

std::vector<Key> other_keys() {
  return {
      make_key(AB_FIELD(powersgd.rank), from(1, 65536), "rank of a compressed gradient"),
      make_key(AB_FIELD(powersgd.start_step), {}, "steps of plain data parallelism before"),
      make_key(AB_FIELD(powersgd.error_feedback), {},
               "what a step does not send is added to the next gradient"),
      make_key(AB_FIELD(powersgd.min_compression), at_least(0),
               "a gradient (m, n) is sent whole unless m n > this times rank (m + n)"),
      make_key(AB_FIELD(local_sgd.start_step), {}, "steps of plain data parallelism before"),
      make_key(AB_FIELD(local_sgd.period), from(1, 1e9), "steps between averages of the weights"),
      group_size_key(AB_FIELD(local_sgd.group_size),
                     "ranks of a group, which average gradients in every step; node: the ranks of "
                     "one node"),
      make_key(AB_FIELD(local_sgd.moments), words({"keep", "average"}),
               "AdamW moments when weights are averaged: each group's own, or averaged too"),
      make_key(AB_FIELD(comm.bucket_mb), Limits{.low = 0.0, .high = 65536.0, .above_low = true},
               "MiB of gradients per all-reduce"),
      make_key(AB_FIELD(comm.reduce_dtype), words({"fp32", "bf16"}),
               "of gradients on the wire; sums are in fp32 at every hop, masters stay fp32"),
      make_key(AB_FIELD(comm.timeout_s), above_zero(), "seconds before a silent rank ends the run"),
      make_key(AB_FIELD(checkpoint.every_steps), from(1, 1e12),
               "steps between checkpoints; null: the weights at the end alone"),
      make_key(AB_FIELD(checkpoint.keep), from(1, 1e6), "checkpoints that stay"),
      make_key(
          AB_FIELD(checkpoint.ask_every), from(1, 1e12),
          "steps between the points where ranks agree whether a signal or the end of the Slurm "
          "job asks them to checkpoint and stop"),
      make_key(
          AB_FIELD(checkpoint.margin_s), at_least(0),
          "seconds kept free before the end of the Slurm job, besides those a checkpoint takes"),
  };
}

}  // namespace

const std::vector<Key>& config_schema() {
  static const std::vector<Key> keys = [] {
    std::vector<Key> all = model_keys();
    for (auto part : {train_keys(), ab_keys(), other_keys()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return keys;
}

const Key* find_key(const std::string& path) {
  for (const Key& key : config_schema())
    if (key.path == path) return &key;
  return nullptr;
}

bool is_section(const std::string& path) {
  for (const Key& key : config_schema())
    if (key.path.size() > path.size() && key.path.compare(0, path.size() + 1, path + ".") == 0)
      return true;
  return false;
}

}  // namespace ab
