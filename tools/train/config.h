// Config: everything a run can be told, as read from a JSON file and --set flags.
// One table (config_schema.cpp) drives parsing, dumping, the nearest known key and the reference
// page. Every error is a ConfigError that names the file or flag, the key, what was found and what
// would work. Optional fields that are empty mean "as in the paper for this model":
// with_model_defaults() fills them.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "optim/adamw.h"
#include "optim/step_schedule.h"

namespace ab {

// Keeps the order of the reference page in every file. Declared here; who looks into one includes
// <nlohmann/json.hpp>.
using Json = nlohmann::ordered_json;

// A number of steps: absolute, or a percentage of the total steps or of ab.ab_steps.
struct StepCount {
  enum class Of : uint8_t { kSteps, kTotal, kAbSteps };
  double value = 0.0;  // steps, or percent
  Of of = Of::kSteps;
  bool operator==(const StepCount&) const = default;
};
// "20%", "25% of ab_steps", "750"; throws std::invalid_argument.
StepCount parse_step_count(const std::string& text);
std::string to_text(const StepCount& count);

struct Config {
  std::string method = "ddp";  // ddp, ab, ab-nogroups, powersgd, local-sgd

  struct Model {
    std::string name;  // vgg16, resnet18, resnet34, resnet50, vit, mini-vit
    std::optional<int> classes, image, channels;
    std::optional<double> width;                             // vgg, resnet: factor on the channels
    std::optional<int> depth, dim, heads, patch, mlp_ratio;  // vit
    std::optional<double> drop_path, dropout;
  } model;

  struct Data {
    std::string format = "cifar10";  // cifar10, cifar100, idx, image_folder, shards, synthetic
    std::string dir;
    int64_t local_batch = 128;
    std::optional<int64_t> global_batch;  // wins over local_batch
    std::optional<std::string> augment;   // cifar, imagenet, none; empty: what suits the format
    int workers = 2;
    std::string on_bad_image = "stop";  // stop, skip
    int64_t synthetic_images = 4096;
  } data;

  struct Train {
    double epochs = 150.0;
    std::optional<int64_t> steps_per_epoch;  // I; empty: one pass over the images
    std::optional<int64_t> steps;            // wins over epochs
    std::string precision = "fp32";          // fp32, bf16
    bool tf32 = false;                       // fp32 products on a GPU
    bool cuda_graph = true;                  // steps of a phase as one recorded graph on a GPU
    uint64_t seed = 1;
    double label_smoothing = 0.1, clip_norm = 1.0;  // clip_norm 0: no clipping
    std::string init = "orthogonal";                // orthogonal, default
    std::string sync_bn = "phase";                  // phase, world, off
    double eval_every = 1.0;                        // epochs; 0: only at the end
    int64_t log_every = 1;                          // steps
    int64_t check_every = 0;                        // steps; 0: at borders alone
  } train;

  AdamWSettings adamw;

  struct Schedule {
    double warmup_epochs = 10.0, warmup_lr = 1e-5, min_lr = 1e-5;
  } schedule;

  struct Ab {
    StepCount warmup_steps{20.0, StepCount::Of::kTotal};
    StepCount ab_steps{3.33, StepCount::Of::kTotal};
    StepCount rebound_steps{25.0, StepCount::Of::kAbSteps};
    StepCount lr_rebound_steps{50.0, StepCount::Of::kAbSteps};
    double sigma_cutoff = 0.15;
    std::optional<int64_t> group_size;  // empty: "node", the ranks of one node
    std::string merge = "all";          // all, learned, mean_of_products
    std::string moments = "zero";       // zero, keep: of W at a merge
    std::string outer = "none";         // none, nesterov: optimiser over merges
    double outer_lr = 0.7, outer_momentum = 0.9;
    std::string forward = "auto";      // auto, dense, thin
    std::vector<std::string> exclude;  // name patterns of layers that stay dense
    bool guard = false;                // a layer stays dense where k(m+n) >= mn
    std::string svd = "auto";          // auto, gram, full
    struct Compat {
      std::optional<CompatSchedule> schedule;
      bool first_cut = true, moments = false;
    } compat;
  } ab;

  struct PowerSgd {
    int64_t rank = 4;
    StepCount start_step{10.0, StepCount::Of::kTotal};
    bool error_feedback = true;
    double min_compression = 2.0;  // a matrix that shrinks less is sent whole
  } powersgd;

  struct LocalSgd {
    StepCount start_step{10.0, StepCount::Of::kTotal};
    int64_t period = 4;
    std::optional<int64_t> group_size;  // empty: "node"
    std::string moments = "keep";       // keep, average
  } local_sgd;

  struct Comm {
    double bucket_mb = 25.0;            // 1 MB = 2^20 bytes
    std::string reduce_dtype = "fp32";  // fp32, bf16
    double timeout_s = 600.0;
  } comm;

  struct Checkpoint {
    std::optional<int64_t> every_steps;  // empty: at the end and on request
    int keep = 2;
    int64_t ask_every = 10;  // steps
    double margin_s = 60.0;
  } checkpoint;
};

// One value given on the command line: flag is how the user wrote it ("--set ab.guard", "--steps").
struct Setting {
  std::string key, value, flag;
};

// Reads a file, lays the settings over it, checks everything, fills the model's defaults.
Config load_config(const std::string& file, const std::vector<Setting>& settings = {});
// The values of a file that lies over another configuration, as settings whose flag is its name.
std::vector<Setting> overlay_settings(const std::string& file);

// Steps of load_config, for tests and tools. `source` stands in errors where no flag set the key.
Json parse_json_text(const std::string& text, const std::string& source);
void apply_setting(Json& tree, const Setting& setting);
Config parse_config(const Json& tree, const std::string& source,
                    const std::vector<Setting>& settings = {});
// The paper's sizes for model.name (method.md sections 8 and 9); then checks that they fit
// together.
Config with_model_defaults(Config config);
// Both; an error of the second names the flag or `source`, too.
Config complete_config(const Json& tree, const std::string& source,
                       const std::vector<Setting>& settings = {});

// Every key, unset ones as null; parse_config(to_json(c)) gives c back.
Json to_json(const Config& config);

// Markdown: key, type, default, meaning.
std::string config_reference();
// The known key that is the fewest edits away from a path.
std::string nearest_key(const std::string& path);
// Fewest insertions, deletions, replacements and swaps of neighbours that turn a into b.
int edit_distance(const std::string& a, const std::string& b);

}  // namespace ab
