// The sections of a page, each HTML from the runs alone. One file per kind:
//   runs_section.cpp      what ran, how it ended, notes on its files
//   curves_section.cpp    loss, accuracy, learning rate, gradient norm over steps; phases shaded
//   ranks_section.cpp     kept rank per layer and cycle
//   spectra_section.cpp   singular values per layer and cycle
//   traffic_section.cpp   bytes per phase, stacked by purpose
//   times_section.cpp     time per step and waiting for gradients
//   paper_section.cpp     the tables of the paper, published figures beside ours
#pragma once
#include <string>
#include <vector>

#include "tools/report/chart.h"
#include "tools/report/run_data.h"

namespace ab::report {

using Runs = std::vector<RunData>;

std::string runs_section(const Runs& runs);
std::string curves_section(const Runs& runs);
std::string ranks_section(const Runs& runs);
std::string spectra_section(const Runs& runs);
std::string traffic_section(const Runs& runs);
std::string times_section(const Runs& runs);
std::string paper_section(const Runs& runs);

// Shared by them.
std::string run_css(size_t run);  // the class of a run's colour
std::string phase_css(const std::string& phase);
std::string phase_title(const std::string& phase);   // "warm-up", "group phase (ab)", ...
std::string run_mark(const Runs& runs, size_t run);  // its colour and name
std::string layer_title(const std::string& layer);   // without ".weight"
std::string section(const std::string& id, const std::string& title, const std::string& body);
// The runs' top-1 over the bytes that all ranks had sent by then; without curves where no run has a
// ledger.
Chart bytes_chart(const Runs& runs);
// A chart over steps with the phases of all runs: shaded with one run, as strips with several.
Chart step_chart(const Runs& runs, const std::string& id, const std::string& title,
                 const std::string& y_title);
std::string phase_legend(const Runs& runs);

}  // namespace ab::report
