// Shape: up to five extents of a dense row-major tensor, held inline so that copying never
// allocates.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>

namespace ab {

class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;
  Shape(std::initializer_list<int64_t> extents);

  int rank() const { return rank_; }
  // Extent of axis i; negative i counts from the end.
  int64_t operator[](int i) const { return extents_[i < 0 ? rank_ + i : i]; }
  int64_t elements() const;
  // The product of all extents but the last: a tensor seen as (rows, columns).
  int64_t rows() const { return rank_ == 0 ? 1 : elements() / (*this)[-1]; }
  bool operator==(const Shape&) const = default;
  std::string text() const;  // "(8, 197, 768)"

 private:
  int64_t extents_[kMaxRank] = {};
  int rank_ = 0;
};

}  // namespace ab
