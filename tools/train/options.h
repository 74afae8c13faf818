// The command line of abtrain (CLI11): subcommands train, eval, plan, report, convert,
// doctor, help-config.
// parse_options never prints or exits: help and version come back as text, a usage error is a
// ConfigError (exit 2).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tools/train/config.h"

namespace ab {

enum class Command : uint8_t { kShowText, kTrain, kEval, kPlan, kReport, kDoctor, kConvert };

struct Options {
  Command command = Command::kShowText;
  std::string text;  // kShowText: what to print on stdout (help, version, the configuration page)

  std::string config;             // the first file; train, eval, plan
  std::vector<Setting> settings;  // further files, --set, short flags, as load_config wants them
  std::string device = "host";    // host, cuda; train, eval
  std::string out;                // train: a folder, empty: default_run_folder(); convert: a file
  int local_ranks = 0;            // train; 0: ranks come from the launcher
  std::string resume;             // train; empty, "auto", or a folder
  bool trace = false;             // train
  std::string checkpoint;         // eval
  std::string in, names;          // convert; names: timm, torchvision
  bool factors = false;           // convert

  // plan; 0: not given
  int nodes = 0, ranks_per_node = 0;
  std::vector<int> scan;                                // node counts
  int64_t scan_batch = 0;                               // constant global batch of a scan
  std::string ranks_from;                               // a run's folder
  double compression = 0.0;                             // layer ranks that give it
  double step_seconds = 0.0, images_per_second = 0.0;   // compute of a rank
  double link_gbit = 0.0, link_latency_us = 0.0;        // between nodes
  double node_link_gbit = 0.0, node_latency_us = -1.0;  // inside a node; -1: as between nodes
  double overlap = 0.5;

  bool json = false;                     // plan, doctor
  std::vector<std::string> run_folders;  // report
  std::string page = "report.html";      // report: what it writes
};

Options parse_options(const std::vector<std::string>& arguments);  // without the program's name
Options parse_options(int argc, char** argv);

std::string version_text();  // "abtrain 0.1.0 (1a2b3c4d5e6f)"
const char* version_number();
const char* version_commit();  // 12 digits, "+dirty" when modified, "unknown" outside git

}  // namespace ab
