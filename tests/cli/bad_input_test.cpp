// Bad input on four ranks that are threads: each case ends with its exit code and one line that
// names flag, key or file, what was found and what would work.
#include <nlohmann/json.hpp>

#include "tests/cli/bad_data.h"

using namespace ab::test;
using Json = nlohmann::ordered_json;

TEST_CASE("a configuration that cannot be meant") {
  const TempDir folder;
  const auto fails = [&](const std::string& set, const std::vector<std::string>& parts) {
    check_failure(folder, {"--method", "ab", "--set", set}, {.exit = 2, .parts = parts});
  };
  fails("train.lr=3", {"--set", "unknown key \"train.lr\"", "adamw.lr"});
  fails("train.epochs=many", {"train.epochs", "\"many\"", "a number above 0"});
  fails("ab.warmup_steps=120%", {"ab.warmup_steps", "\"120%\"", "0% to 100%"});
  fails("ab.group_size=3", {"ab.group_size 3 with 4 ranks", "1, 2 would work"});
  fails("ab.group_size=4", {"ab.group_size 4 with 4 ranks", "1, 2 would work"});
  fails("ab.group_size=node", {"ab.group_size", "\"node\"", "1, 2 would work"});
  fails("data.local_batch=1001", {"data.local_batch", "1001 x 4 ranks = 4004", "4000 images",
                                  "a local batch of at most 1000 would work"});
  fails("model.channels=3", {"model.channels", "found 3", "idx", "1 would work"});
  CHECK(!fs::exists(folder / "run"));  // refused before a folder was made
}

TEST_CASE("a configuration file that is missing or broken") {
  const TempDir folder;
  const auto line = [&](const fs::path& file) {
    const Outcome outcome = abtrain({"train", "--config", file.string(), "--local-ranks", "2"});
    CHECK(outcome.exit == 2);
    return outcome.err;
  };
  CHECK(holds(line(folder / "none.json"), {"--config", "none.json", "models/configs"}));
  write_file(folder / "torn.json", {'{', '"', 'a'});
  CHECK(holds(line(folder / "torn.json"), {"torn.json:1:", "not valid JSON"}));
}

TEST_CASE("data that is missing") {
  const TempDir folder;
  check_failure(folder, {"--data", (folder / "nowhere").string()},
                {.exit = 3, .parts = {"data.dir", "nowhere", "not a directory", "--data"}});
  fs::create_directories(folder / "empty");
  check_failure(folder, {"--data", (folder / "empty").string()},
                {.exit = 3, .parts = {"empty/train-images-idx3-ubyte", "missing", ".gz"}});
  check_failure(folder, on_cifar(folder / "empty"),
                {.exit = 3, .parts = {"empty/data_batch_1.bin is missing", "data_batch_5.bin"}});
}

TEST_CASE("CIFAR files of a wrong length or with other labels, and another model") {
  const TempDir folder;
  write_cifar10(folder / "cifar", 40);
  const fs::path third = folder / "cifar/data_batch_3.bin";
  const Bytes whole = read_bytes(third);
  write_file(third, Bytes(whole.begin(), whole.end() - 100));  // 40 x 3073 - 100
  check_failure(folder, on_cifar(folder / "cifar"),
                {.exit = 3, .parts = {third.string(), "122820 bytes", "records of 3073 bytes"}});
  write_file(third, whole);
  auto arguments = on_cifar(folder / "cifar");
  arguments.insert(arguments.end(), {"--set", "model.classes=7"});
  check_failure(
      folder, arguments,
      {.exit = 3, .parts = {"label 7 in", "data_batch_1.bin", "model.classes is 7", "at least 8"}});
  arguments.back() = "model.channels=1";
  check_failure(folder, arguments,
                {.exit = 2, .parts = {"model.channels", "found 1", "cifar10", "3 would work"}});
}

TEST_CASE("an IDX file with a wrong magic") {
  const TempDir folder;
  const fs::path from = fs::path(AB_SOURCE_DIR) / "data/samples/mnist";
  fs::copy(from, folder / "mnist");
  fs::remove(folder / "mnist/train-labels-idx1-ubyte.gz");
  Bytes labels;
  append_u32(labels, 0x803);
  append_u32(labels, 4000);
  labels.resize(4008);
  write_file(folder / "mnist/train-labels-idx1-ubyte", labels);
  check_failure(
      folder, {"--data", (folder / "mnist").string()},
      {.exit = 3,
       .parts = {"train-labels-idx1-ubyte", "starts with 0x00000803", "expected 0x00000801"}});
}

TEST_CASE("image folders: an empty class, too many classes, a JPEG cut in half") {
  const TempDir folder;
  const CutPicture cut = image_folder_with_cut_picture(folder / "images");
  // Met by a loader's worker of rank 2 in the third step, while the other ranks train on.
  const Outcome outcome =
      check_failure(folder, cut.arguments,
                    {.exit = 3, .parts = {cut.file, "JPEG is cut short", "replace the file"}});
  CHECK(holds(outcome.out, {"step 1/12"}));
  const Bytes summary = read_bytes(folder / "run/summary.json");
  const Json written = Json::parse(summary.begin(), summary.end());
  CHECK(written["exit"] == 3);
  CHECK((written["steps"] >= 1 && written["steps"] <= 2));
  CHECK((written["top1_last"].is_null() && written["total_sent_bytes"].is_null()));

  // The same run goes through when told to; the picture's place comes up once in each epoch.
  std::vector<std::string> skipping = {
      "train", "--config", tiny_config(folder),          "--local-ranks",
      "4",     "--out",    (folder / "through").string()};
  skipping.insert(skipping.end(), cut.arguments.begin(), cut.arguments.end());
  skipping.insert(skipping.end(), {"--set", "data.on_bad_image=skip"});
  const Outcome through = abtrain(skipping);
  INFO(through.err);
  REQUIRE(through.exit == 0);
  CHECK(holds(through.out, {"training samples were replaced, 0 images are missing"}));
  const Bytes done = read_bytes(folder / "through/summary.json");
  const Json counted = Json::parse(done.begin(), done.end());
  // Twelve steps of sixteen samples out of eighty are two epochs of five steps, and two steps.
  CHECK((counted["skipped_train_samples"] == 2 || counted["skipped_train_samples"] == 3));
  CHECK(counted["skipped_eval_images"] == 0);

  fs::create_directories(folder / "images/train/dog");
  auto arguments = cut.arguments;
  arguments.insert(arguments.end(), {"--out", (folder / "other").string()});
  check_failure(folder, arguments,
                {.exit = 3, .parts = {"train holds 3 class folders", "model.classes is 2"}});
  arguments.insert(arguments.end(), {"--set", "model.classes=3"});
  check_failure(folder, arguments,
                {.exit = 3, .parts = {"images/train/dog", "holds no image", ".jpg"}});
}

TEST_CASE("a place that cannot be written") {
  const TempDir folder;
  check_failure(folder, {"--out", "/proc/run"},
                {.exit = 2, .parts = {"--out /proc/run", "cannot be made", "choose a folder"}});
  const std::string file = tiny_config(folder);
  check_failure(folder, {"--out", file},
                {.exit = 2, .parts = {"--out " + file, "is a file", "choose a folder"}});
  check_failure(folder, {"--out", file + "/run"},
                {.exit = 2, .parts = {"--out " + file, "Not a directory", "choose a folder"}});
}

TEST_CASE("a disk that fills up while the run logs") {
  const TempDir folder;
  // A limit on the size of files stops metrics.jsonl (some 200 bytes a step) after about 40 steps.
  check_failure(folder, {"--steps", "400"},
                {.exit = 3,
                 .parts = {"run/metrics.jsonl", "cannot be written", "File too large", "ulimit"},
                 .file_limit = 8192});
  // What ab writes at its first decomposition goes to a device that is always full.
  if (!fs::exists("/dev/full")) return;
  fs::create_directories(folder / "full");
  fs::create_symlink("/dev/full", folder / "full/ranks.jsonl");
  check_failure(folder, {"--method", "ab", "--out", (folder / "full").string()},
                {.exit = 3, .parts = {"full/ranks.jsonl", "No space left on device", "make room"}});
  const Bytes summary = read_bytes(folder / "full/summary.json");
  CHECK(Json::parse(summary.begin(), summary.end())["exit"] == 3);
}

TEST_CASE("a folder that holds a run") {
  const TempDir folder;
  const std::string run = (folder / "run").string();
  const Outcome first = abtrain({"train", "--config", tiny_config(folder), "--steps", "2",
                                 "--local-ranks", "2", "--out", run});
  REQUIRE(first.exit == 0);
  const Bytes metrics = read_bytes(folder / "run/metrics.jsonl");
  check_failure(folder, {}, {.exit = 2, .parts = {"--out " + run, "already holds a run"}});
  CHECK(read_bytes(folder / "run/metrics.jsonl") == metrics);
}

TEST_CASE("a loss that is not finite names step, phase and layer") {
  const TempDir folder;
  // The first update leaves weights near 1e38: the second forward pass overflows.
  check_failure(folder, {"--set", "adamw.lr=1e38"},
                {.exit = 4,
                 .parts = {"loss is not finite", "step 2", "phase warmup",
                           "first concerned: ", "patch_embed", "adamw.lr"}});
  const Bytes summary = read_bytes(folder / "run/summary.json");
  const Json written = Json::parse(summary.begin(), summary.end());
  CHECK((written["exit"] == 4 && written["steps"] == 1));
}

TEST_CASE("a device that is not there, and a checkpoint that is not there") {
  const TempDir folder;
  if (!has_gpu()) check_failure(folder, {"--device", "cuda"}, {.exit = 6, .parts = {"cuda"}});
  check_failure(folder, {"--resume", (folder / "run").string()},
                {.exit = 3, .parts = {"--resume", "no complete checkpoint", "every_steps"}});
}
