// abtrain: the program. Reads the command line and hands over to one command.
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "distributed/launch.h"
#include "tools/report/report_command.h"
#include "tools/train/convert_command.h"
#include "tools/train/doctor.h"
#include "tools/train/eval_command.h"
#include "tools/train/exit_codes.h"
#include "tools/train/plan_command.h"
#include "tools/train/rank_program.h"
#include "tools/train/train_command.h"

namespace {

int doctor_command(const ab::Options& options) {
  const ab::Json report = ab::doctor_report();
  if (ab::read_launch_environment().rank > 0) return ab::kExitDone;  // rank 0 speaks for all
  std::printf("%s\n", options.json ? report.dump(2).c_str() : ab::doctor_text(report).c_str());
  return ab::kExitDone;
}

}  // namespace

int main(int argc, char** argv) {
  // A write past the file size limit (ulimit -f) then fails like one on a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  return ab::run_alone([&] {
    const ab::Options options = ab::parse_options(argc, argv);
    switch (options.command) {
      case ab::Command::kTrain:
        return ab::train_command(options);
      case ab::Command::kEval:
        return ab::eval_command(options);
      case ab::Command::kPlan:
        return ab::plan_command(options);
      case ab::Command::kReport:
        return ab::report_command(options);
      case ab::Command::kConvert:
        return ab::convert_command(options);
      case ab::Command::kDoctor:
        return doctor_command(options);
      case ab::Command::kShowText:
        break;
    }
    std::fputs(options.text.c_str(), stdout);
    return static_cast<int>(ab::kExitDone);
  });
}
