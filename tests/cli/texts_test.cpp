// Help, version, doctor and usage errors: what a newcomer reads first.
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

using namespace ab::test;
using Json = nlohmann::ordered_json;

namespace {

std::string output(const std::vector<std::string>& arguments) {
  const Outcome outcome = abtrain(arguments);
  CHECK(outcome.exit == 0);
  CHECK(outcome.err.empty());
  return outcome.out;
}

std::string refusal(const std::vector<std::string>& arguments) {
  const Outcome outcome = abtrain(arguments);
  CHECK(outcome.exit == 2);
  CHECK(outcome.out.empty());
  CHECK(outcome.err.find('\n') == outcome.err.size() - 1);
  return outcome.err;
}

}  // namespace

TEST_CASE("alone, the program tells its commands and a first call") {
  const std::string alone = output({});
  CHECK(holds(alone,
              {"train", "eval", "plan", "doctor", "help-config", "models/configs", "Exit codes"}));
  CHECK(output({"--help"}) == alone);
  const std::string version = output({"--version"});
  CHECK(version.rfind("abtrain ", 0) == 0);
  CHECK(version.find('\n') == version.size() - 1);
}

TEST_CASE("every command explains its flags") {
  CHECK(holds(output({"train", "--help"}),
              {"--config", "--set", "--method", "--device", "--data", "--out", "--steps", "--seed",
               "--local-ranks", "--resume", "--trace"}));
  CHECK(holds(output({"eval", "--help"}), {"--config", "--checkpoint", "--data"}));
  CHECK(holds(output({"plan", "--help"}),
              {"--config", "--set", "--method", "--nodes", "--ranks-per-node", "--ranks-from",
               "--link-gbit", "--json"}));
  CHECK(holds(output({"doctor", "--help"}), {"--json"}));
  CHECK(holds(output({"help-config"}), {"ab.sigma_cutoff", "data.local_batch"}));
}

TEST_CASE("usage errors name what was typed and what would work") {
  CHECK(holds(refusal({"trian"}),
              {"\"trian\"", "train, eval, plan, report, convert, doctor", "--help"}));
  CHECK(holds(refusal({"train"}), {"--config is required", "abtrain train --help"}));
  CHECK(holds(refusal({"train", "--config", "a", "--local-rank", "4"}),
              {"unknown flag --local-rank", "nearest known flag is --local-ranks"}));
  CHECK(holds(refusal({"train", "--config", "a", "--learning-rate", "3"}),
              {"unknown flag --learning-rate", "--set key=value"}));
  CHECK(holds(refusal({"train", "--config", "a", "stray"}), {"\"stray\" belongs to no flag"}));
  CHECK(holds(refusal({"train", "--config", "a", "--device", "tpu"}), {"tpu", "host", "cuda"}));
  CHECK(holds(refusal({"train", "--config", "a", "--set", "lr"}), {"--set lr", "key=value"}));
}

TEST_CASE("doctor tells what is here, in words and as JSON") {
  const std::string text = output({"doctor"});
  CHECK(holds(text, {"abtrain ", "device host: ", "device cuda: ", "mpi: ", "nccl: ", "slurm: "}));
  const Json json = Json::parse(output({"doctor", "--json"}));
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"version", "commit", "devices", "mpi", "nccl", "slurm",
                                         "problems"});
  REQUIRE(!json["devices"].empty());
  CHECK(json["devices"][0]["kind"] == "host");
}
