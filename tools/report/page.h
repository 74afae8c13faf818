// The whole page: one HTML file that needs nothing else, no network and no program but a browser.
#pragma once
#include <string>

#include "tools/report/sections.h"

namespace ab::report {

std::string page_html(const Runs& runs);

extern const char* const kPageStyle;   // page_style.cpp
extern const char* const kPageScript;  // page_script.cpp

}  // namespace ab::report
