// The command line: flags become settings in the right order, mistakes become one line and exit 2.
#include "tools/train/options.h"

#include <new>

#include "tests/catch.h"
#include "tools/train/exit_codes.h"

namespace {

using namespace ab;
using Catch::Matchers::Contains;

std::string refusal(const std::vector<std::string>& arguments) {
  try {
    parse_options(arguments);
  } catch (const std::exception& error) {
    CHECK(exit_code_of(error) == 2);
    const std::string line = error_line(error);
    CHECK(line.find('\n') == std::string::npos);
    CHECK(line.rfind("abtrain: error: ", 0) == 0);
    return line;
  }
  return "accepted";
}

}  // namespace

TEST_CASE("train takes the interface's flags") {
  const Options options = parse_options(
      {"train",         "--config", "a.json",   "--set", "ab.guard=true", "ab.svd=full",
       "--method",      "ab",       "--device", "host",  "--data",        "/d",
       "--out",         "/o",       "--steps",  "40",    "--seed",        "3",
       "--local-ranks", "4",        "--resume", "auto",  "--trace",       "--set",
       "data.dir=x=y"});
  CHECK(options.command == Command::kTrain);
  CHECK(options.config == "a.json");
  CHECK((options.device == "host" && options.out == "/o" && options.local_ranks == 4));
  CHECK((options.resume == "auto" && options.trace));
  std::string settings;
  for (const Setting& s : options.settings) settings += s.flag + " " + s.key + "=" + s.value + "; ";
  // The short flags lie over --set.
  CHECK(settings ==
        "--set ab.guard=true; --set ab.svd=full; --set data.dir=x=y; --method method=ab; "
        "--data data.dir=/d; --steps train.steps=40; --seed train.seed=3; ");
}

TEST_CASE("eval, plan, doctor") {
  const Options eval = parse_options({"eval", "--config", "a", "--checkpoint", "c", "--data", "d"});
  CHECK((eval.command == Command::kEval && eval.checkpoint == "c" && eval.settings.size() == 1));
  const Options plan =
      parse_options({"plan", "--config", "a", "--method", "ab", "--nodes", "4", "--ranks-per-node",
                     "4", "--ranks-from", "run", "--link-gbit", "200", "--json"});
  CHECK((plan.command == Command::kPlan && plan.nodes == 4 && plan.ranks_per_node == 4));
  CHECK((plan.ranks_from == "run" && plan.link_gbit == 200.0 && plan.json));
  const Options scan = parse_options({"plan", "--config", "a", "--ranks-per-node", "4", "--scan",
                                      "2,4,8", "--global-batch", "4096", "--compression", "1.39"});
  CHECK((scan.scan == std::vector<int>{2, 4, 8} && scan.scan_batch == 4096 && scan.nodes == 0));
  CHECK((scan.compression == 1.39 && scan.overlap == 0.5));
  const Options doctor = parse_options({"doctor", "--json"});
  CHECK((doctor.command == Command::kDoctor && doctor.json));
}

TEST_CASE("help, version and the configuration page come as text") {
  const Options alone = parse_options(std::vector<std::string>{});
  CHECK(alone.command == Command::kShowText);
  CHECK_THAT(alone.text, Contains("train") && Contains("plan") && Contains("doctor"));
  CHECK(parse_options({"--help"}).text == alone.text);
  const Options train = parse_options({"train", "--help"});
  CHECK(train.command == Command::kShowText);
  CHECK_THAT(train.text, Contains("--local-ranks N") && Contains("--resume auto|DIR"));
  const std::string version = parse_options({"--version"}).text;
  CHECK(version == version_text() + "\n");
  CHECK_THAT(version, Contains("abtrain 0.") && Contains("("));
  CHECK(parse_options({"help-config"}).text == config_reference());
}

TEST_CASE("usage errors name the flag and where to read on") {
  CHECK_THAT(refusal({"train"}),
             Contains("--config is required") && Contains("see abtrain train --help"));
  CHECK_THAT(refusal({"trian"}), Contains("trian") && Contains("see abtrain --help"));
  CHECK_THAT(refusal({"train", "--config", "a", "--lr", "3"}), Contains("--lr"));
  CHECK_THAT(refusal({"train", "--config", "a", "--device", "tpu"}),
             Contains("--device") && Contains("tpu") && Contains("host") && Contains("cuda"));
  CHECK_THAT(refusal({"train", "--config", "a", "--local-ranks", "0"}), Contains("--local-ranks"));
  CHECK_THAT(refusal({"train", "--config", "a", "--local-ranks", "two"}),
             Contains("--local-ranks"));
  CHECK_THAT(refusal({"train", "--config", "a", "--set", "guard"}),
             Contains("--set guard: expected key=value"));
  CHECK_THAT(refusal({"train", "--config", "a", "--set", "=1"}), Contains("expected key=value"));
  CHECK_THAT(refusal({"train", "--config"}), Contains("--config"));
  CHECK_THAT(refusal({"plan", "--config", "a", "--nodes", "2"}), Contains("--ranks-per-node"));
  CHECK_THAT(refusal({"plan", "--config", "a", "--nodes", "2", "--ranks-per-node", "2",
                      "--link-gbit", "-1"}),
             Contains("--link-gbit"));
  const auto plan = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"plan", "--config", "a", "--ranks-per-node", "4"});
    return refusal(more);
  };
  CHECK_THAT(plan({"--global-batch", "8", "--nodes", "2"}), Contains("--scan"));
  CHECK_THAT(plan({"--scan", "2,x"}), Contains("--scan"));
  CHECK_THAT(plan({"--overlap", "1.5", "--nodes", "2"}), Contains("--overlap"));
  CHECK_THAT(plan({"--ranks-from", "r", "--compression", "2"}), Contains("--compression"));
  CHECK_THAT(plan({"--step-seconds", "1", "--images-per-second", "2"}),
             Contains("--images-per-second"));
  CHECK_THAT(refusal({"eval", "--config", "a"}), Contains("--checkpoint is required"));
}

TEST_CASE("every kind of error has its exit code") {
  CHECK(exit_code_of(ConfigError("")) == 2);
  CHECK(exit_code_of(DataError("")) == 3);
  CHECK(exit_code_of(NonFiniteError("")) == 4);
  CHECK(exit_code_of(CommunicationError("")) == 5);
  CHECK(exit_code_of(DeviceError("")) == 6);
  CHECK(exit_code_of(std::bad_alloc()) == 6);
  CHECK(exit_code_of(std::logic_error("")) == 1);
  CHECK(error_line(ConfigError("a\nb")) == "abtrain: error: a b");
  CHECK(guarded([] { return 75; }) == 75);
}
