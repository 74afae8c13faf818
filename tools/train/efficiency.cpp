#include "tools/train/efficiency.h"

#include <algorithm>

namespace ab {
namespace {

// Percentage of all steps that lie in AB phases.
double ab_share(const std::vector<PhaseSpan>& spans) {
  int64_t in_ab = 0;
  for (const PhaseSpan& span : spans)
    if (span.phase == StepPhase::kAb) in_ab += span.to - span.from;
  const int64_t total = spans.empty() ? 0 : spans.back().to;
  return total > 0 ? 100.0 * static_cast<double>(in_ab) / static_cast<double>(total) : 0.0;
}

}  // namespace

double compression_of(int64_t params_full, int64_t params_factored) {
  return static_cast<double>(params_full) / static_cast<double>(params_factored);
}

double traffic_reduction_of(int64_t sent, int64_t ddp_sent) {
  return ddp_sent > 0 ? 1.0 - static_cast<double>(sent) / static_cast<double>(ddp_sent) : 0.0;
}

double ecr_executed(Method method, const std::vector<PhaseSpan>& spans, double compression) {
  const double factored = ab_share(spans);
  const double exchanged = method == Method::kAbNoGroups ? factored : 0.0;
  return 100.0 - (100.0 - factored) - exchanged / compression;
}

double ecr_literal(Method method, const std::vector<PhaseSpan>& spans, double compression) {
  if (method != Method::kAb && method != Method::kAbNoGroups) return 0.0;
  const double in_groups = method == Method::kAb ? ab_share(spans) : 0.0;
  return 100.0 - 25.0 - std::max(0.0, 75.0 - in_groups) / compression;
}

}  // namespace ab
