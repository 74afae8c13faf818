#include "engine/shape.h"

#include <stdexcept>

namespace ab {

Shape::Shape(std::initializer_list<int64_t> extents) {
  if (extents.size() > kMaxRank) throw std::invalid_argument("a shape has at most five extents");
  for (const int64_t extent : extents) extents_[rank_++] = extent;
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (int i = 0; i < rank_; ++i) product *= extents_[i];
  return product;
}

std::string Shape::text() const {
  std::string text = "(";
  for (int i = 0; i < rank_; ++i) text += (i ? ", " : "") + std::to_string(extents_[i]);
  return text + ")";
}

}  // namespace ab
