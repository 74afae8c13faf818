#include <algorithm>
#include <cmath>
#include <filesystem>

#include "tools/report/html.h"
#include "tools/report/published.h"
#include "tools/report/sections.h"

namespace ab::report {
namespace {

// The paper's name for a run's model, or the configuration's own where its sizes differ.
struct Subject {
  std::string model, data;
  bool operator==(const Subject&) const = default;
};

std::string data_title(const RunData& run) {
  const std::string format = text_at(run.config, "/data/format");
  if (format == "cifar10") return "CIFAR-10";
  if (format == "cifar100") return "CIFAR-100";
  if (format == "image_folder" && number_at(run.config, "/model/classes") == 1000)
    return "ImageNet";
  if (format.empty()) return "data not known";
  const std::string dir = std::filesystem::path(text_at(run.config, "/data/dir")).stem().string();
  return dir.empty() || format == "synthetic" ? format : dir;
}

std::string model_title(const RunData& run) {
  const auto is = [&](const char* key, double value) {
    return number_at(run.config, std::string("/model/") + key) == value;
  };
  const std::string name = text_at(run.config, "/model/name");
  const double width = number_at(run.config, "/model/width");
  if (name == "resnet50" && is("width", 1.0)) return "ResNet-50";
  if (name == "vgg16" && is("width", 1.0)) return "VGG16";
  if (name == "vit" && is("depth", 12) && is("dim", 768) && is("patch", 16)) return "ViT-B/16";
  if (std::isfinite(width) && width != 1.0) return name + ", width " + number(width);
  if (name == "vit")
    return "vit, depth " + number(number_at(run.config, "/model/depth")) + ", dim " +
           number(number_at(run.config, "/model/dim"));
  return name.empty() ? "model not known" : name;
}

double top1_of(const RunData& run) {
  const double told = number_at(run.summary, "/top1_last");
  return 100.0 * (std::isfinite(told) || run.evals.empty() ? told : run.evals.back().top1);
}

// Of the runs of the same model and data, the one ddp run; none where there are several.
double baseline_of(const Runs& runs, const std::vector<Subject>& subjects, size_t i) {
  double found = std::nan("");
  int count = 0;
  for (size_t j = 0; j < runs.size(); ++j)
    if (subjects[j] == subjects[i] && text_at(runs[j].config, "/method") == "ddp" &&
        runs[j].exit() == 0)
      found = top1_of(runs[j]), ++count;
  return count == 1 ? found : std::nan("");
}

std::string fixed(double value, int digits = 2) {
  return std::isfinite(value) ? text_of("%.*f", digits, value) : "–";
}

std::string signed_points(double value) {
  if (!std::isfinite(value)) return "–";
  return (value < 0.0 ? "−" : "+") + text_of("%.2f", std::fabs(value));
}

void add_published(Table& table, const Published& row) {
  table.row(
      {row.method, "paper, " + std::string(row.setting), "–", ratio(row.compression),
       fixed(row.top1), signed_points(row.difference), fixed(row.ecr), "–", fixed(row.traffic, 1)},
      "published");
}

void add_ours(Table& table, const Runs& runs, const std::vector<Subject>& subjects, size_t i) {
  const RunData& run = runs[i];
  const bool is_ddp = text_at(run.config, "/method") == "ddp";
  const double sent = number_at(run.summary, "/total_sent_bytes");
  std::string setting = text_of("%.0f × %.0f", number_at(run.config, "/world"),
                                number_at(run.config, "/resolved/local_batch"));
  if (!std::isfinite(number_at(run.config, "/world"))) setting = "–";
  std::string name = run_mark(runs, i);
  if (run.exit() != 0)
    name += run.exit() ? " (exit " + std::to_string(*run.exit()) + ")" : " (unfinished)";
  table.row({escape(text_at(run.config, "/method")), name, setting,
             ratio(number_at(run.summary, "/compression")), fixed(top1_of(run)),
             is_ddp ? "–" : signed_points(top1_of(run) - baseline_of(runs, subjects, i)),
             fixed(number_at(run.summary, "/ecr_literal")),
             fixed(number_at(run.summary, "/ecr_executed")),
             fixed(100.0 * sent / number_at(run.summary, "/ddp_sent_bytes"), 1)});
}

}  // namespace

std::string paper_section(const Runs& runs) {
  Table table({{"method", 'l'},
               {"source", 'l'},
               {"ranks × batch"},
               {"compression"},
               {"top-1 (%)"},
               {"against ddp (points)"},
               {"ECR (paper's form)"},
               {"ECR as executed"},
               {"traffic (% of ddp)"}});
  std::vector<Subject> subjects;
  for (const RunData& run : runs) subjects.push_back({model_title(run), data_title(run)});
  std::vector<Subject> groups = subjects;
  for (const Published& row : kPublished) groups.push_back({row.model, row.data});
  std::vector<Subject> done;
  for (const Subject& group : groups) {
    if (std::find(done.begin(), done.end(), group) != done.end()) continue;
    done.push_back(group);
    const bool ours = std::find(subjects.begin(), subjects.end(), group) != subjects.end();
    table.group(escape(group.model) + " on " + escape(group.data) +
                (ours ? "" : " <span class=\"aside\">(published only; no run here)</span>"));
    for (const Published& row : kPublished)
      if (group == Subject{row.model, row.data}) add_published(table, row);
    for (size_t i = 0; i < runs.size(); ++i)
      if (subjects[i] == group) add_ours(table, runs, subjects, i);
  }
  return section(
      "paper", "Beside the paper",
      "<p>In the form of the paper's Tables I and II (arXiv 2405.01067). Published rows are of 150 "
      "epochs; a shorter run is not their equal. Our traffic counts every collective of every "
      "phase, within and between nodes; the paper's counts group phases and merges as nothing. "
      "Top-1 of the last evaluation.</p>\n" +
          table.html("paper-table"));
}

}  // namespace ab::report
