// abtrain report: the page of a real run against its files, read as text without a browser; runs
// that ended badly, damaged files, hostile text.
#include <nlohmann/json.hpp>
#include <set>

#include "tests/cli/program.h"

using namespace ab::test;
using Json = nlohmann::ordered_json;

namespace {

std::string text_file(const fs::path& path) {
  const Bytes bytes = read_bytes(path);
  return {bytes.begin(), bytes.end()};
}

void write_text(const fs::path& path, const std::string& text) {
  write_file(path, {text.begin(), text.end()});
}

std::vector<Json> json_lines(const fs::path& path) {
  std::ifstream file(path);
  std::vector<Json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
  return lines;
}

// The first fault of the page's tags: each closed in order, attributes' quotes closed; "" if none.
// Of scripts and styles only the closing tag counts.
std::string tag_fault(const std::string& page) {
  static const std::set<std::string> kVoid = {"meta", "link", "br"};
  std::vector<std::string> open;
  for (size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at)) {
    if (page.compare(at, 2, "<!") == 0) {
      at = page.find('>', at);
      continue;
    }
    size_t end = at + 1;
    for (bool quoted = false; end < page.size() && (quoted || page[end] != '>'); ++end)
      quoted ^= page[end] == '"';
    if (end >= page.size()) return "not closed: " + page.substr(at, 60);
    const bool closes = page[at + 1] == '/';
    const size_t begin = at + (closes ? 2 : 1);
    const std::string name = page.substr(begin, page.find_first_of(" />\n", begin) - begin);
    if (closes) {
      if (open.empty() || open.back() != name)
        return "</" + name + "> closes " + (open.empty() ? "nothing" : open.back());
      open.pop_back();
    } else if (page[end - 1] != '/' && !kVoid.count(name)) {
      open.push_back(name);
    }
    at = end;
    if (!closes && (name == "script" || name == "style")) at = page.find("</" + name + ">", at);
  }
  return open.empty() ? "" : "left open: " + open.back();
}

// The values behind a chart.
Json chart_data(const std::string& page, const std::string& id) {
  const size_t figure = page.find("<figure class=\"chart\" id=\"" + id + "\">");
  REQUIRE(figure != std::string::npos);
  const std::string opening = "<script type=\"application/json\">";
  const size_t begin = page.find(opening, figure) + opening.size();
  return Json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

struct Page {
  Outcome outcome;
  std::string text;
};

Page report(const TempDir& folder, std::vector<std::string> runs) {
  const std::string file = (folder / "page.html").string();
  runs.insert(runs.begin(), "report");
  runs.insert(runs.end(), {"-o", file});
  Page page{abtrain(runs), ""};
  INFO(page.outcome.out << page.outcome.err);
  REQUIRE(page.outcome.exit == 0);
  CHECK(holds(page.outcome.out, {"wrote " + file}));
  page.text = text_file(file);
  CHECK(tag_fault(page.text).empty());
  return page;
}

const std::vector<std::string> kCharts = {
    "loss",          "accuracy",       "learning-rate", "validation-loss",
    "gradient-norm", "accuracy-bytes", "step-time",     "comm-wait"};

const char* const kLine =
    R"({"step":%d,"epoch":0.1,"phase":"warmup","cycle":-1,"lr":0.001,"loss":%s,"grad_norm":1.0,)"
    R"("images_per_s":100.0,"step_s":0.01,"comm_wait_s":0.0})"
    "\n";

std::string metrics_line(int step, const char* loss) {
  char line[256];
  std::snprintf(line, sizeof line, kLine, step, loss);
  return line;
}

}  // namespace

TEST_CASE("the page of a run tells what its files tell") {
  const TempDir folder;
  const std::string run = (folder / "run").string();
  REQUIRE(abtrain({"train", "--config", tiny_config(folder), "--method", "ab", "--local-ranks", "4",
                   "--out", run})
              .exit == 0);
  const Page page = report(folder, {run});
  CHECK(page.outcome.err.empty());
  CHECK(report(folder, {run}).text == page.text);
  for (const char* outside : {"http:", "https:", " src=", "@import", "url("})
    CHECK(count(page.text, outside) == 0);
  CHECK(page.text.size() < 2000000);

  const auto metrics = json_lines(run + "/metrics.jsonl");
  for (const auto& [id, key, factor] : {std::tuple("loss", "loss", 1.0),
                                        {"learning-rate", "lr", 1.0},
                                        {"step-time", "step_s", 1e3},
                                        {"comm-wait", "comm_wait_s", 1e3},
                                        {"gradient-norm", "grad_norm", 1.0}}) {
    const Json curves = chart_data(page.text, id)["curves"];
    REQUIRE(curves.size() == 1);
    REQUIRE(curves[0]["y"].size() == 12);
    for (size_t i = 0; i < 12; ++i) {
      CHECK(curves[0]["x"][i] == metrics[i]["step"]);
      CHECK(curves[0]["y"][i].get<double>() ==
            Approx(factor * metrics[i][key].get<double>()).epsilon(1e-5));
    }
  }
  for (const std::string& id : kCharts) CHECK(chart_data(page.text, id)["curves"].size() == 1);
  CHECK(chart_data(page.text, "accuracy")["curves"][0]["y"][0].get<double>() ==
        Approx(100.0 * metrics[12]["eval"]["top1"].get<double>()).epsilon(1e-5));
  // warmup 1-3, ab 4-6, rebound 7-8, ab 9-11, rebound 12.
  CHECK(holds(page.text, {"group phase (A or B), cycle 0, steps 4 to 6",
                          "rebound (full rank), cycle 1, steps 12 to 12"}));

  for (const Json& row : json_lines(run + "/ranks.jsonl")) {
    std::string layer = row["layer"];
    layer.resize(layer.size() - std::string(".weight").size());
    const std::string cell = layer + ", cycle " + row["cycle"].dump() + ": k = " + row["k"].dump() +
                             " of " + row["n"].dump() + ",";
    CHECK(count(page.text, cell) == 1);
  }
  CHECK(count(page.text, "id=\"spectrum-0-") == 8);  // layers
  const Json spectrum = json_lines(run + "/ranks.jsonl")[0]["spectrum"];
  CHECK(holds(page.text, {"\"y\":[1.0," + spectrum[1][1].dump()}));

  const Json ledger = Json::parse(text_file(run + "/ledger.json"));
  for (const Json& entry : ledger["entries"])
    CHECK(holds(page.text, {"<td class=\"l\">" + entry["purpose"].get<std::string>() + "</td>",
                            "<td>" + entry["sent_bytes"].dump() + "</td>"}));
  // All bytes but those after the last evaluation.
  double until_last = 0.0;
  for (const Json& entry : ledger["entries"])
    if (entry["phase"] != "end") until_last += entry["sent_bytes"].get<double>();
  CHECK(chart_data(page.text, "accuracy-bytes")["curves"][0]["x"][0].get<double>() ==
        Approx(1e-9 * until_last).epsilon(1e-9));
  CHECK(holds(page.text, {"vit, depth 2, dim 32 on mnist", "ResNet-50 on ImageNet", "73.29",
                          "VGG16 on CIFAR-10", "44.14 : 1", ">done<"}));
}

TEST_CASE("a run that ended badly and damaged files are shown as far as they go") {
  const TempDir folder;
  const fs::path lost = folder / "a/run", open = folder / "b/run";
  const std::string evil = "</script><script>alert('x')</script>&\\\"";
  write_text(lost / "config.json",
             R"({"method": ")" + evil + R"(", "resolved": {"total_steps": 9}})");
  write_text(lost / "metrics.jsonl", metrics_line(1, "2.5") + metrics_line(2, "null") + "[1]\n" +
                                         R"({"step":"three"})" + "\n" + R"({"step":3,"loss":1.5,)" +
                                         R"("phase":")" + evil + "\"}\n" + R"({"step":4,"lo)");
  write_text(lost / "ranks.jsonl", R"({"cycle":0,"layer":")" + evil +
                                       R"(","m":4,"n":2,"k":1,"spectrum":[[1,1.0],[9,2]]})");
  write_text(lost / "summary.json", R"({"exit": 4, "steps": 3})");
  write_text(lost / "ledger.json", "{");
  write_text(open / "metrics.jsonl", metrics_line(6, "1e-320") + metrics_line(7, "0.5"));
  const Page page = report(folder, {lost.string(), open.string()});
  CHECK(holds(page.outcome.err,
              {"a/run/metrics.jsonl:3: no JSON object", "metrics.jsonl:4: no number",
               "metrics.jsonl:6: cut off", "a/run/ledger.json: is no JSON object",
               "b/run/config.json: not there", "b/run/ranks.jsonl: not there"}));
  CHECK(count(page.text, "alert") > 2);
  CHECK(count(page.text, "<script>alert") == 0);
  // Runs whose folders have one name are told apart by the folder above.
  CHECK(holds(page.text, {"</span>a/run", "</span>b/run", "exit 4, loss not finite, at step 3 of 9",
                          "unfinished, at step 7", "a/run/metrics.jsonl:3: no JSON object"}));
  const Json curves = chart_data(page.text, "loss")["curves"];
  REQUIRE(curves.size() == 2);
  CHECK(curves[0]["y"] == Json::parse("[2.5, 1.5]"));
  CHECK(curves[1]["x"] == Json::parse("[6, 7]"));  // a loss below the normal floats is one too
  CHECK(curves[1]["y"][1] == 0.5);
}

TEST_CASE("report refuses what holds no run") {
  const TempDir folder;
  const auto line = [](std::vector<std::string> words, int exit) {
    words.insert(words.begin(), "report");
    const Outcome outcome = abtrain(words);
    CHECK(outcome.exit == exit);
    CHECK(outcome.out.empty());
    CHECK(error_lines(outcome).size() == 1);
    return outcome.err;
  };
  const std::string nowhere = (folder / "nowhere").string(), empty = folder.path().string();
  CHECK(holds(line({nowhere}, 3), {nowhere, "is no folder", "--out"}));
  CHECK(holds(line({empty}, 3), {empty, "holds no run", "metrics.jsonl"}));
  CHECK(holds(line({}, 2), {"RUN_DIR", "report --help"}));
  write_text(folder / "run/metrics.jsonl", metrics_line(1, "1.0"));
  CHECK(holds(line({(folder / "run").string(), "-o", nowhere + "/page.html"}, 3),
              {"nowhere/page.html", "opened for writing"}));
}
