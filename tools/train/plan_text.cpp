#include "tools/train/plan_text.h"

#include <nlohmann/json.hpp>

namespace ab {
namespace {

std::string phase_lines(const Json& phases) {
  std::string text = "phases\n";
  const size_t shown = phases.size() > 12 ? 7 : phases.size();
  for (size_t i = 0; i < shown; ++i) {
    const Json& p = phases[i];
    const std::string cycle =
        p["cycle"].get<int>() >= 0 ? " cycle " + std::to_string(p["cycle"].get<int>()) : "";
    text +=
        text_of("  %-18s steps %8lld to %8lld\n", (p["phase"].get<std::string>() + cycle).c_str(),
                p["from"].get<long long>(), p["to"].get<long long>());
  }
  if (shown < phases.size())
    text += text_of("  ... %zu more, the last ends at step %lld\n", phases.size() - shown,
                    phases.back()["to"].get<long long>());
  return text;
}

std::string entry_lines(const Json& entries) {
  std::string text = text_of("%-10s %-8s %-11s %-18s %-6s %12s %24s\n", "phase", "comm",
                             "collective", "purpose", "dtype", "calls", "sent by all ranks");
  for (const Json& e : entries)
    text += text_of(
        "%-10s %-8s %-11s %-18s %-6s %12s %24s\n", e["phase"].get<std::string>().c_str(),
        e["communicator"].get<std::string>().c_str(), e["collective"].get<std::string>().c_str(),
        e["purpose"].get<std::string>().c_str(), e["dtype"].get<std::string>().c_str(),
        ranged(e["calls"], [](double v) { return text_of("%.0f", v); }).c_str(),
        ranged(e["sent_bytes"], bytes_text).c_str());
  return text;
}

// 1 - reduction.
Json kept_share(const Json& reduction) {
  if (!reduction.is_object()) return 1.0 - reduction.get<double>();
  return between(1.0 - reduction["high"].get<double>(), 1.0 - reduction["low"].get<double>());
}

std::string method_phase_lines(const Json& method) {
  std::string text;
  const std::string name = method["method"].get<std::string>();
  for (const Json& phase : method["phases"])
    text += text_of("%-12s %-10s %9lld %12s %23s %23s\n", name.c_str(),
                    phase["phase"].get<std::string>().c_str(), phase["steps"].get<long long>(),
                    seconds_text(phase["compute_s"].get<double>()).c_str(),
                    ranged(phase["communication_s"], seconds_text).c_str(),
                    ranged(phase["waiting_s"], seconds_text).c_str());
  return text;
}

// Phases of every method, then the methods side by side.
std::string time_lines(const Json& time) {
  std::string text = text_of("%-12s %-10s %9s %12s %23s %23s\n", "method", "phase", "steps",
                             "compute", "on the links", "waited for");
  std::string sums = text_of("\n%-12s %19s %19s %19s %19s\n", "method", "hours", "node-hours",
                             "waiting", "images/s");
  for (const Json& one : time["methods"]) {
    const std::string name = one["method"].get<std::string>();
    if (one.contains("error")) {
      sums += text_of("%-12s ", name.c_str()) + "not possible: " + one["error"].get<std::string>() +
              "\n";
      continue;
    }
    text += method_phase_lines(one);
    const auto whole = [](double v) { return text_of("%.0f", v); };
    sums += text_of(
        "%-12s %19s %19s %19s %19s\n", name.c_str(), ranged(one["hours"], hours_text).c_str(),
        ranged(one["node_hours"], hours_text).c_str(),
        ranged(one["waiting_share"], percent_text).c_str(),
        one.contains("images_per_s") ? ranged(one["images_per_s"], whole).c_str() : "-");
  }
  return text + sums + time_model_text(time["model"]);
}

}  // namespace

std::string time_model_text(const Json& model) {
  const auto number = [&](const char* key) { return model[key].get<double>(); };
  std::string text = "times assume: ";
  if (model.contains("images_per_second"))
    text += text_of("%g images/s on a rank that computes alone", number("images_per_second"));
  else if (number("step_seconds") > 0.0)
    text += text_of("%g s of compute a step", number("step_seconds"));
  else
    text += "communication alone, no compute";
  text +=
      ", the same in all phases; all collectives run as rings (over MPI they do, NCCL chooses "
      "by itself);\n";
  if (number("link_gbit") > 0.0)
    text += text_of("%g Gbit/s and %g us between nodes, ", number("link_gbit"),
                    number("link_latency_us"));
  text += text_of("%g Gbit/s and %g us inside a node; ", number("node_link_gbit"),
                  number("node_latency_us"));
  text += text_of("gradients travel during %g %% of the compute time, the rest is waited for\n",
                  100.0 * number("overlap"));
  return text;
}

std::string plan_text(const Json& json, const Config& config, const WorldLayout& layout) {
  const int nodes = layout.world / layout.ranks_per_node;
  std::string text = text_of("%s, method %s, %d rank%s on %d node%s\n", config.model.name.c_str(),
                             config.method.c_str(), layout.world, layout.world == 1 ? "" : "s",
                             nodes, nodes == 1 ? "" : "s");
  text +=
      text_of("parameters           %lld, full gradient %s\n", json["params_full"].get<long long>(),
              bytes_text(json["gradient_bytes"].get<double>()).c_str());
  text +=
      text_of("factored layers      %lld with %lld parameters\n",
              json["factored_layers"].get<long long>(), json["factored_params"].get<long long>());
  text += "memory per rank      " + ranged(json["memory_bytes_per_rank"], bytes_text) + "\n\n";
  text += phase_lines(json["phases"]) + "\n" + entry_lines(json["entries"]) + "\n";
  text += "sent in total        " + ranged(json["total_sent_bytes"], bytes_text) +
          ", between nodes " + ranged(json["inter_node_sent_bytes"], bytes_text) + "\n";
  text += "plain ddp would send " + bytes_text(json["ddp_sent_bytes"].get<double>()) + "\n";
  text += "traffic reduction    " + ranged(json["traffic_reduction"], percent_text) + "\n";
  text += "full-rank steps alone " + percent_text(json["full_rank_steps_share"].get<double>()) +
          " of ddp's bytes (the paper's count)\n";
  const auto exact = [](double v) { return text_of("%.2f %%", 100.0 * v); };
  text += "everything counted   ";
  if (nodes > 1)
    text += ranged(json["inter_node_share"], exact) + " of ddp's bytes between nodes, ";
  text += ranged(kept_share(json["traffic_reduction"]), exact) + " of all\n";
  text += "compression          " + ranged(json["compression"], number_text) + " : 1\n";
  text += "ECR                  " + ranged(json["ecr_executed"], number_text) + " as executed, " +
          ranged(json["ecr_literal"], number_text) + " with the paper's 25/75 split\n";
  if (json.contains("time")) text += "\n" + time_lines(json["time"]) + "\n";
  if (json["total_sent_bytes"].is_object())
    text +=
        "ranges: every layer at rank 1 to every layer at full rank; --ranks-from RUN_DIR replays "
        "what a run kept\n";
  return text;
}

}  // namespace ab
