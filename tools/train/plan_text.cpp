#include "tools/train/plan_text.h"

#include <cstdarg>
#include <cstdio>

namespace ab {
namespace {

std::string format(const char* pattern, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(line, sizeof line, pattern, arguments);
  va_end(arguments);
  return line;
}

// A value of the plan, or "low to high" where the layers' ranks are not known.
template <class Text>
std::string ranged(const Json& value, Text text) {
  if (!value.is_object()) return text(value.get<double>());
  return text(value.at("low").get<double>()) + " to " + text(value.at("high").get<double>());
}

std::string percent(double share) {
  return format("%.1f %%", 100.0 * share);
}

std::string phase_lines(const Json& phases) {
  std::string text = "phases\n";
  const size_t shown = phases.size() > 12 ? 7 : phases.size();
  for (size_t i = 0; i < shown; ++i) {
    const Json& p = phases[i];
    const std::string cycle =
        p["cycle"].get<int>() >= 0 ? " cycle " + std::to_string(p["cycle"].get<int>()) : "";
    text +=
        format("  %-18s steps %8lld to %8lld\n", (p["phase"].get<std::string>() + cycle).c_str(),
               p["from"].get<long long>(), p["to"].get<long long>());
  }
  if (shown < phases.size())
    text += format("  ... %zu more, the last ends at step %lld\n", phases.size() - shown,
                   phases.back()["to"].get<long long>());
  return text;
}

std::string entry_lines(const Json& entries) {
  std::string text = format("%-10s %-8s %-11s %-18s %-6s %12s %24s\n", "phase", "comm",
                            "collective", "purpose", "dtype", "calls", "sent by all ranks");
  for (const Json& e : entries)
    text += format("%-10s %-8s %-11s %-18s %-6s %12s %24s\n", e["phase"].get<std::string>().c_str(),
                   e["communicator"].get<std::string>().c_str(),
                   e["collective"].get<std::string>().c_str(),
                   e["purpose"].get<std::string>().c_str(), e["dtype"].get<std::string>().c_str(),
                   ranged(e["calls"], [](double v) { return format("%.0f", v); }).c_str(),
                   ranged(e["sent_bytes"], bytes_text).c_str());
  return text;
}

}  // namespace

std::string bytes_text(double bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  int unit = 0;
  while (bytes >= 1000.0 && unit < 5) {
    bytes /= 1000.0;
    ++unit;
  }
  return unit == 0 ? format("%.0f B", bytes) : format("%.2f %s", bytes, units[unit]);
}

std::string plan_text(const Json& json, const Config& config, const WorldLayout& layout,
                      double link_gbit) {
  const int nodes = layout.world / layout.ranks_per_node;
  std::string text = format("%s, method %s, %d rank%s on %d node%s\n", config.model.name.c_str(),
                            config.method.c_str(), layout.world, layout.world == 1 ? "" : "s",
                            nodes, nodes == 1 ? "" : "s");
  text +=
      format("parameters           %lld, full gradient %s\n", json["params_full"].get<long long>(),
             bytes_text(json["gradient_bytes"].get<double>()).c_str());
  text +=
      format("factored layers      %lld with %lld parameters\n",
             json["factored_layers"].get<long long>(), json["factored_params"].get<long long>());
  text += "memory per rank      " + ranged(json["memory_bytes_per_rank"], bytes_text) + "\n\n";
  text += phase_lines(json["phases"]) + "\n" + entry_lines(json["entries"]) + "\n";
  text += "sent in total        " + ranged(json["total_sent_bytes"], bytes_text) +
          ", between nodes " + ranged(json["inter_node_sent_bytes"], bytes_text) + "\n";
  text += "plain ddp would send " + bytes_text(json["ddp_sent_bytes"].get<double>()) + "\n";
  text += "traffic reduction    " + ranged(json["traffic_reduction"], percent) + "\n";
  text += "ECR                  " +
          ranged(json["ecr_executed"], [](double v) { return format("%.2f", v); }) +
          " as executed, " +
          ranged(json["ecr_literal"], [](double v) { return format("%.2f", v); }) +
          " with the paper's 25/75 split\n";
  if (link_gbit > 0.0 && nodes > 1)
    text += "time on the links    " +
            ranged(json["inter_node_sent_bytes"],
                   [&](double bytes) {
                     return format("%.1f s", bytes * 8.0 / nodes / (link_gbit * 1e9));
                   }) +
            format(" at %g Gbit/s per node, if nothing overlaps\n", link_gbit);
  if (json["total_sent_bytes"].is_object())
    text +=
        "ranges: every layer at rank 1 to every layer at full rank; --ranks-from RUN_DIR replays "
        "what a run kept\n";
  return text;
}

}  // namespace ab
