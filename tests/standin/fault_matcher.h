// CHECK_THAT(take_faults(), faults({"part of the first", "part of the second"})): as many faults as
// texts, each holding its text. faults({}) means that no rule was broken.
#pragma once
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/standin/standin.h"

namespace ab::standin {

#if defined(AB_CATCH2_V3)
using FaultMatcherBase = Catch::Matchers::MatcherBase<std::vector<std::string>>;
#else
using FaultMatcherBase = Catch::MatcherBase<std::vector<std::string>>;
#endif

class FaultMatcher : public FaultMatcherBase {
 public:
  explicit FaultMatcher(std::vector<std::string> parts) : parts_(std::move(parts)) {}

  bool match(const std::vector<std::string>& texts) const override {
    if (texts.size() != parts_.size()) return false;
    for (size_t i = 0; i < texts.size(); ++i)
      if (texts[i].find(parts_[i]) == std::string::npos) return false;
    return true;
  }
  std::string describe() const override {
    std::string text = "holds, one by one:";
    for (const std::string& part : parts_) text += " \"" + part + "\"";
    return text;
  }

 private:
  std::vector<std::string> parts_;
};

inline FaultMatcher faults(std::vector<std::string> parts) {
  return FaultMatcher(std::move(parts));
}

}  // namespace ab::standin
