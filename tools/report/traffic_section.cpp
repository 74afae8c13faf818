#include <algorithm>
#include <cmath>
#include <map>

#include "tools/report/html.h"
#include "tools/report/sections.h"

namespace ab::report {
namespace {

constexpr size_t kColours = 7;  // purposes with a colour of their own, the costliest first

struct Entry {
  std::string phase, communicator, collective, purpose, dtype;
  double calls = 0.0, payload = 0.0, sent = 0.0, inter_node = 0.0;
};

std::vector<Entry> entries_of(const RunData& run) {
  std::vector<Entry> all;
  if (!run.ledger.is_object() || !run.ledger.contains("entries")) return all;
  for (const Json& e : run.ledger["entries"]) {
    const double sent = number_at(e, "/sent_bytes");
    if (!std::isfinite(sent)) continue;
    all.push_back({text_at(e, "/phase"), text_at(e, "/communicator"), text_at(e, "/collective"),
                   text_at(e, "/purpose"), text_at(e, "/dtype"), number_at(e, "/calls"),
                   number_at(e, "/payload_bytes"), sent, number_at(e, "/inter_node_bytes")});
  }
  return all;
}

// Sums of sent bytes in the order in which their names appear first.
using Sums = std::vector<std::pair<std::string, double>>;

void add_to(Sums& sums, const std::string& name, double bytes) {
  const auto found =
      std::find_if(sums.begin(), sums.end(), [&](const auto& sum) { return sum.first == name; });
  if (found == sums.end())
    sums.emplace_back(name, bytes);
  else
    found->second += bytes;
}

struct Stacks {
  std::vector<std::string> phases;
  std::map<std::string, Sums> purposes;  // by phase

  explicit Stacks(const std::vector<Entry>& entries) {
    for (const Entry& e : entries) {
      if (!purposes.count(e.phase)) phases.push_back(e.phase);
      add_to(purposes[e.phase], e.purpose, e.sent);
    }
  }
  double total(const std::string& phase) const {
    double sum = 0.0;
    for (const auto& [purpose, sent] : purposes.at(phase)) sum += sent;
    return sum;
  }
};

using Colours = std::map<std::string, std::string>;

std::string bar(const std::string& phase, const Stacks& stacks, const Colours& colours,
                double longest) {
  const double total = stacks.total(phase);
  std::string text =
      "<div class=\"bar\"><span class=\"bl\">" + escape(phase) + "</span><span class=\"bb\">";
  Sums parts = stacks.purposes.at(phase);
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [purpose, sent] : parts)
    if (sent > 0.0)
      text += "<i class=\"" + colours.at(purpose) +
              "\" style=\"width:" + text_of("%.3f", 100.0 * sent / longest) + "%\" title=\"" +
              escape(phase) + ", " + escape(purpose) + ": " + bytes(sent) + "\"></i>";
  return text + "</span><span class=\"bv\">" + bytes(total) + "</span></div>\n";
}

std::string entry_table(const std::vector<Entry>& entries, const std::string& id) {
  Table table({{"phase", 'l'},
               {"communicator", 'l'},
               {"collective", 'l'},
               {"purpose", 'l'},
               {"type", 'l'},
               {"calls"},
               {"payload (bytes)"},
               {"sent (bytes)"},
               {"between nodes (bytes)"}});
  for (const Entry& e : entries)
    table.row({escape(e.phase), escape(e.communicator), escape(e.collective), escape(e.purpose),
               escape(e.dtype), count(e.calls), count(e.payload), count(e.sent),
               count(e.inter_node)});
  return table.html(id);
}

std::string run_block(const Runs& runs, size_t i, const Colours& colours, double longest) {
  const RunData& run = runs[i];
  std::string text = "<figure class=\"bars\" id=\"traffic-" + std::to_string(i) +
                     "\"><figcaption>" + run_mark(runs, i);
  const std::vector<Entry> entries = entries_of(run);
  if (entries.empty())
    return text +
           "</figcaption><p class=\"note\">No ledger.json: a run writes it when it is "
           "done.</p></figure>\n";
  const double total = number_at(run.ledger, "/total_sent_bytes");
  text += ", " + bytes(total) + " in all";
  const double ddp = number_at(run.summary, "/ddp_sent_bytes");
  if (ddp > 0.0) text += ", " + percent(total / ddp) + " of plain ddp's " + bytes(ddp);
  text += "</figcaption>\n";
  const Stacks stacks(entries);
  for (const std::string& phase : stacks.phases) text += bar(phase, stacks, colours, longest);
  return text + "<details><summary>every entry of the ledger</summary>" +
         entry_table(entries, "ledger-" + std::to_string(i)) + "</details></figure>\n";
}

}  // namespace

std::string traffic_section(const Runs& runs) {
  Sums purposes;
  double longest = 0.0;
  for (const RunData& run : runs) {
    const Stacks stacks(entries_of(run));
    for (const std::string& phase : stacks.phases) {
      longest = std::max(longest, stacks.total(phase));
      for (const auto& [purpose, sent] : stacks.purposes.at(phase)) add_to(purposes, purpose, sent);
    }
  }
  std::stable_sort(purposes.begin(), purposes.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  Colours colours;
  std::string legend = "<p class=\"legend\"><span>Purposes:</span>", others;
  for (size_t i = 0; i < purposes.size(); ++i) {
    const std::string& purpose = purposes[i].first;
    colours[purpose] = i < kColours ? "q" + std::to_string(i) : "q-other";
    if (i < kColours)
      legend +=
          "<span><i class=\"swatch " + colours[purpose] + "\"></i>" + escape(purpose) + "</span>";
    else
      others += (others.empty() ? "" : ", ") + escape(purpose);
  }
  if (!others.empty())
    legend += "<span><i class=\"swatch q-other\"></i>other: " + others + "</span>";
  std::string text =
      "<p>Bytes that all ranks put on the wire together, by phase, stacked by "
      "purpose. All bars of the page have one scale.</p>\n" +
      legend + "</p>\n<div class=\"blocks\">";
  for (size_t i = 0; i < runs.size(); ++i)
    text += run_block(runs, i, colours, longest > 0.0 ? longest : 1.0);
  return section("traffic", "Traffic", text + "</div>\n");
}

}  // namespace ab::report
