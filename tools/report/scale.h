// Scale: values onto the length 0..1 of an axis, linear or logarithmic, with round ticks.
#pragma once
#include <string>
#include <vector>

namespace ab::report {

class Scale {
 public:
  // From low to high; what is empty, reversed or not finite becomes 0..1 (log: 0.1..1).
  Scale(double low, double high, bool logarithmic = false);
  // The same, widened to the next ticks on both sides.
  static Scale rounded(double low, double high, bool logarithmic = false);

  double low() const { return low_; }
  double high() const { return high_; }
  double at(double value) const;              // 0 at low, 1 at high; clamped
  std::vector<double> ticks(int most) const;  // round values inside, ascending

 private:
  double low_, high_;
  bool logarithmic_;
};

// "0.002", "12k", "1e-5": as short as a tick's label can be.
std::string tick_text(double value);

// Indices that draw a curve of y over x as well as all of them: of each of `bins` equal parts of
// the range of x the first, last, least and largest value, in order. Values that are not finite are
// kept as gaps (one of a run of them).
std::vector<size_t> decimate(const std::vector<double>& x, const std::vector<double>& y, int bins);

}  // namespace ab::report
