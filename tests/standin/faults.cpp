// The list of broken rules. It lives for ever, so that libraries torn down late can still report;
// an atexit handler ends the process with kFaultExit when faults are left.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include "tests/standin/handles.h"
#include "tests/standin/standin.h"

namespace ab::standin {
namespace {

struct Faults {
  std::mutex mutex;
  std::vector<std::string> texts;
  std::map<std::string, int> failing, calls;
};

void complain_at_exit();

Faults& faults() {
  static Faults* const list = [] {
    std::atexit(complain_at_exit);
    return new Faults;
  }();
  return *list;
}

void complain_at_exit() {
  const std::vector<std::string> left = take_faults();
  for (const std::string& text : left) std::fprintf(stderr, "standin: %s\n", text.c_str());
  if (left.empty()) return;
  std::fflush(nullptr);
  _exit(kFaultExit);
}

thread_local std::string latest;

}  // namespace

std::string report(const std::string& text) {
  Faults& list = faults();
  std::lock_guard lock(list.mutex);
  list.texts.push_back(text);
  latest = text;
  if (std::getenv("STANDIN_VERBOSE")) std::fprintf(stderr, "standin: %s\n", text.c_str());
  return text;
}

std::vector<std::string> take_faults() {
  Faults& list = faults();
  std::lock_guard lock(list.mutex);
  return std::exchange(list.texts, {});
}

const std::string& last_fault() {
  return latest;
}

void fail_next(const std::string& function, int code) {
  std::lock_guard lock(faults().mutex);
  faults().failing[function] = code;
}

int calls_of(const std::string& function) {
  std::lock_guard lock(faults().mutex);
  return faults().calls[function];
}

int injected(const char* function) {
  std::lock_guard lock(faults().mutex);
  ++faults().calls[function];
  auto& failing = faults().failing;
  const auto found = failing.find(function);
  if (found == failing.end()) return 0;
  const int code = found->second;
  failing.erase(found);
  return code;
}

}  // namespace ab::standin
