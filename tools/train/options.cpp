// The command line; flags are those of the interface, and every short one names the key it sets.
#include "tools/train/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "engine/error.h"
#include "tools/train/plan_options.h"

namespace ab {
namespace {

// What CLI11 fills and becomes settings afterwards.
struct Flags {
  std::vector<std::string> config, set;
  std::string method, data, steps, seed;
};

void add_config(CLI::App& command, Flags& flags) {
  command
      .add_option("--config", flags.config,
                  "configuration, a JSON file; examples lie in models/configs, "
                  "`abtrain help-config` explains the keys; given again, the later file lies over "
                  "the earlier")
      ->required()
      ->allow_extra_args(false)
      ->type_name("FILE");
  command
      .add_option("--set", flags.set,
                  "set a key, as in ab.sigma_cutoff=0.1 or ab.ab_steps=\"5%\"; may be repeated")
      ->type_name("KEY=VALUE");
}

void add_method(CLI::App& command, Flags& flags) {
  command
      .add_option(
          "--method", flags.method,
          "ddp (plain data parallelism), ab (AB-training in groups), ab-nogroups (factored, "
          "one group), powersgd or local-sgd; sets method")
      ->type_name("NAME");
}

void add_device(CLI::App& command, Options& options) {
  command
      .add_option("--device", options.device,
                  "host (this machine's cores, the default) or cuda (one GPU per rank)")
      ->check(CLI::IsMember({"host", "cuda"}))
      ->type_name("NAME");
}

void add_data(CLI::App& command, Flags& flags) {
  command.add_option("--data", flags.data, "folder of the data set; sets data.dir")
      ->type_name("DIR");
}

void add_train(CLI::App& app, Options& options, Flags& flags) {
  CLI::App& train = *app.add_subcommand(
      "train", "train a network; ranks come from mpirun or srun, or from --local-ranks");
  add_config(train, flags);
  add_method(train, flags);
  add_device(train, options);
  add_data(train, flags);
  train
      .add_option("--out", options.out,
                  "new folder for what the run leaves behind; default: "
                  "runs/<config>-<method>-<date>-<time>")
      ->type_name("DIR");
  train.add_option("--steps", flags.steps, "updates to make; sets train.steps")->type_name("N");
  train.add_option("--seed", flags.seed, "of weights, order and augmentation; sets train.seed")
      ->type_name("N");
  train
      .add_option("--local-ranks", options.local_ranks,
                  "run N ranks as threads of this process, without a launcher")
      ->check(CLI::Range(1, 4096))
      ->type_name("N");
  train
      .add_option("--resume", options.resume,
                  "go on from the newest whole checkpoint: of the run in DIR, or (auto) of the\n"
                  "one in --out, which is begun if there is none")
      ->type_name("auto|DIR");
  train.add_flag("--trace", options.trace,
                 "write trace.json: when rank 0 did what, for chrome://tracing or Perfetto");
  train.callback([&] { options.command = Command::kTrain; });
}

void add_eval(CLI::App& app, Options& options, Flags& flags) {
  CLI::App& eval = *app.add_subcommand("eval", "validation loss, top-1 and top-5 of a checkpoint");
  add_config(eval, flags);
  eval.add_option("--checkpoint", options.checkpoint,
                  "a folder checkpoints/step-… of a run, or a .safetensors file")
      ->required()
      ->type_name("PATH");
  add_data(eval, flags);
  add_device(eval, options);
  eval.callback([&] { options.command = Command::kEval; });
}

void add_plan(CLI::App& app, Options& options, Flags& flags) {
  CLI::App& plan = *app.add_subcommand(
      "plan", "phases, parameters, memory and traffic of a run before it starts; needs no device");
  add_config(plan, flags);
  add_method(plan, flags);
  add_plan_options(plan, options);
}

void add_report(CLI::App& app, Options& options) {
  CLI::App& report = *app.add_subcommand(
      "report", "one self-contained HTML page from the folders of one or many runs");
  report.add_option("RUN_DIR", options.run_folders, "folders that train wrote (--out)")
      ->required()
      ->type_name("");
  report.add_option("-o,--out", options.page, "the page; default: report.html")->type_name("FILE");
  report.callback([&] { options.command = Command::kReport; });
}

void add_convert(CLI::App& app, Options& options) {
  CLI::App& convert = *app.add_subcommand(
      "convert", "weights of a run under PyTorch's names, or PyTorch's weights under ours (timm)");
  convert
      .add_option(
          "--in", options.in,
          "a run's folder, a checkpoint's folder, or a .safetensors file under the names of "
          "timm or torchvision")
      ->required()
      ->type_name("PATH");
  convert.add_option("--out", options.out, "the file to write")
      ->required()
      ->type_name("FILE.safetensors");
  convert.add_option("--names", options.names, "the names to write: timm or torchvision")
      ->required()
      ->check(CLI::IsMember({"timm", "torchvision"}))
      ->type_name("STYLE");
  convert.add_flag("--factors", options.factors,
                   "leave factored weights as A and B instead of multiplying them out");
  convert.callback([&] { options.command = Command::kConvert; });
}

std::vector<Setting> settings_of(const Flags& flags) {
  std::vector<Setting> settings;
  for (size_t i = 1; i < flags.config.size(); ++i)
    for (const Setting& setting : overlay_settings(flags.config[i])) settings.push_back(setting);
  for (const std::string& text : flags.set) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw ConfigError("--set " + text + ": expected key=value, as in --set ab.sigma_cutoff=0.1");
    settings.push_back({text.substr(0, equals), text.substr(equals + 1), "--set"});
  }
  const auto add = [&](const char* key, const std::string& value, const char* flag) {
    if (!value.empty()) settings.push_back({key, value, flag});
  };
  add("method", flags.method, "--method");
  add("data.dir", flags.data, "--data");
  add("train.steps", flags.steps, "--steps");
  add("train.seed", flags.seed, "--seed");
  return settings;
}

// "--confg" -> where to read about the flags of the subcommand that was meant.
std::string help_hint(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return "; see abtrain " + (chosen.empty() ? "" : chosen.back()->get_name() + " ") + "--help";
}

// What CLI11 could not place, first as the user wrote it, with the flag it was probably meant to
// be.
std::string unexpected(const CLI::App& app, const std::vector<std::string>& arguments) {
  const auto chosen = app.get_subcommands();
  const std::vector<std::string> left = app.remaining(true);
  const auto first = std::find_if(arguments.begin(), arguments.end(), [&](const std::string& text) {
    return std::find(left.begin(), left.end(), text) != left.end();
  });
  const std::string found = first == arguments.end() ? "" : *first;
  std::string names;
  if (chosen.empty() && found.rfind('-', 0) != 0) {
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
      names += (names.empty() ? "" : ", ") + command->get_name();
    return "unknown command \"" + found + "\"; the commands are " + names;
  }
  if (found.rfind('-', 0) != 0) return "\"" + found + "\" belongs to no flag";
  const std::string flag = found.substr(0, found.find('='));
  int least = static_cast<int>(flag.size()) / 2;
  std::string nearest;
  for (const CLI::Option* option : (chosen.empty() ? app : *chosen.back()).get_options()) {
    const std::string name = "--" + option->get_single_name();
    const int distance = edit_distance(flag, name);
    if (distance >= least) continue;
    least = distance;
    nearest = name;
  }
  return "unknown flag " + flag +
         (nearest.empty() ? "; a configuration's keys are set with --set key=value"
                          : "; the nearest known flag is " + nearest);
}

}  // namespace

Options parse_options(const std::vector<std::string>& arguments) {
  Options options;
  Flags flags;
  CLI::App app("abtrain: data-parallel training that exchanges low-rank factors inside groups",
               "abtrain");
  app.set_version_flag("--version", version_text(), "print version and commit");
  app.footer(
      "A first run, on the digits that come with the source:\n"
      "  abtrain train --config models/configs/mnist/resnet_quickstart.json --method ab "
      "--local-ranks 4\n"
      "Exit codes: 0 done, 2 usage or configuration, 3 data, 4 loss not finite, 5 communication, "
      "6 device, 75 checkpointed on request");
  app.require_subcommand(0, 1);
  add_train(app, options, flags);
  add_eval(app, options, flags);
  add_plan(app, options, flags);
  add_report(app, options);
  add_convert(app, options);
  CLI::App& doctor = *app.add_subcommand(
      "doctor", "what is built in and found on this machine, what is wrong and how to mend it");
  doctor.add_flag("--json", options.json, "one JSON object on stdout, nothing else");
  doctor.callback([&] { options.command = Command::kDoctor; });
  app.add_subcommand("help-config", "all keys of a configuration, as a page of Markdown")
      ->callback([&] { options.text = config_reference(); });
  try {
    // The library takes a vector from its end.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    options.command = Command::kShowText;
    options.text = app.help();
    return options;
  } catch (const CLI::CallForVersion&) {
    options.command = Command::kShowText;
    options.text = version_text() + "\n";
    return options;
  } catch (const CLI::ExtrasError&) {
    throw ConfigError(unexpected(app, arguments) + help_hint(app));
  } catch (const CLI::ParseError& error) {
    throw ConfigError(error.what() + help_hint(app));
  }
  if (options.command == Command::kShowText && options.text.empty()) options.text = app.help();
  if (!flags.config.empty()) options.config = flags.config.front();
  options.settings = settings_of(flags);
  return options;
}

Options parse_options(int argc, char** argv) {
  return parse_options(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
}

}  // namespace ab
