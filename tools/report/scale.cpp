#include "tools/report/scale.h"

#include <algorithm>
#include <cmath>

#include "tools/report/html.h"

namespace ab::report {
namespace {

// 1, 2 or 5 times a power of ten, such that at most `most` steps fill the range.
double round_step(double range, int most) {
  const double raw = range / std::max(most, 1);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= raw * (1.0 - 1e-9)) return factor * power;
  return 10.0 * power;
}

constexpr int kTicks = 5;

}  // namespace

Scale::Scale(double low, double high, bool logarithmic)
    : low_(low), high_(high), logarithmic_(logarithmic) {
  if (!std::isfinite(low) || !std::isfinite(high) || (logarithmic && low <= 0.0))
    low_ = logarithmic ? 0.1 : 0.0, high_ = 1.0;
  if (!(high_ > low_)) {
    high_ = logarithmic ? low_ * 10.0 : low_ + std::max(1e-12, std::fabs(low_) * 0.1);
    if (!logarithmic) low_ -= high_ - low_;
  }
}

Scale Scale::rounded(double low, double high, bool logarithmic) {
  const Scale raw(low, high, logarithmic);
  if (logarithmic)
    return {std::pow(10.0, std::floor(std::log10(raw.low_) + 1e-9)),
            std::pow(10.0, std::ceil(std::log10(raw.high_) - 1e-9)), true};
  const double step = round_step(raw.high_ - raw.low_, kTicks);
  return {step * std::floor(raw.low_ / step + 1e-9), step * std::ceil(raw.high_ / step - 1e-9)};
}

double Scale::at(double value) const {
  if (logarithmic_)
    return value <= low_ ? 0.0 : std::min(1.0, std::log(value / low_) / std::log(high_ / low_));
  return std::clamp((value - low_) / (high_ - low_), 0.0, 1.0);
}

std::vector<double> Scale::ticks(int most) const {
  std::vector<double> all;
  if (logarithmic_) {
    const double from = std::ceil(std::log10(low_) - 1e-9), to = std::log10(high_) + 1e-9;
    const double step = std::max(1.0, std::ceil((to - from) / most));
    for (double power = from; power <= to; power += step) all.push_back(std::pow(10.0, power));
    return all;
  }
  const double step = round_step(high_ - low_, most);
  for (double i = std::ceil(low_ / step - 1e-9); i * step <= high_ + 1e-9 * step; ++i)
    all.push_back(i == 0.0 ? 0.0 : i * step);
  return all;
}

std::string tick_text(double value) {
  const double size = std::fabs(value);
  if (size >= 1e6) return text_of("%.4gM", value / 1e6);
  if (size >= 1e4) return text_of("%.4gk", value / 1e3);
  if (size != 0.0 && size < 1e-4) {
    const double power = std::floor(std::log10(size) + 1e-9);
    return text_of("%.3ge%.0f", value / std::pow(10.0, power), power);
  }
  return text_of("%.4g", value);
}

std::vector<size_t> decimate(const std::vector<double>& x, const std::vector<double>& y, int bins) {
  std::vector<size_t> kept;
  const size_t n = x.size();
  const double width = n > 1 ? (x.back() - x.front()) / bins : 0.0;
  const auto bin_of = [&](size_t i) {
    return width > 0.0 ? std::min(bins - 1, static_cast<int>((x[i] - x.front()) / width)) : 0;
  };
  for (size_t first = 0; first < n;) {
    size_t end = first, least = n, largest = n, gap = n;
    for (; end < n && bin_of(end) == bin_of(first); ++end) {
      if (!std::isfinite(y[end])) {
        gap = end;
        continue;
      }
      if (least == n || y[end] < y[least]) least = end;
      if (largest == n || y[end] > y[largest]) largest = end;
    }
    std::vector<size_t> chosen = {first, least, largest, end - 1, gap};
    std::sort(chosen.begin(), chosen.end());
    for (const size_t i : chosen)
      if (i < n && (kept.empty() || i > kept.back())) kept.push_back(i);
    first = end;
  }
  return kept;
}

}  // namespace ab::report
