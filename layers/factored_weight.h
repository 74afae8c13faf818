// FactoredWeight: a matrix W (out, in) that is either dense or the product of two thin factors.
//   Stored as W = outer . inner with outer (out, k), inner (k, in). In the paper's orientation (m
//   >= n, W = A B with A the larger factor): out >= in: A = outer, B = inner; else A = inner^T, B =
//   outer^T.
// Parameters "<name>" (W), "<name>.A", "<name>.B" are registered side by side; present are W, or A
// and B. Forward is dense (one product W = outer inner a step, then as usual) or thin (x inner^T,
// then outer^T); both compute the same function, their gradients agree up to rounding.
#pragma once
#include <string>

#include "layers/network.h"

namespace ab {

enum class FactorForward : uint8_t { kAuto, kDense, kThin };

class FactoredWeight {
 public:
  // shape: (out, in) or (out, kernel_h, kernel_w, in): the matrix is (out, product of the rest).
  FactoredWeight(Network& network, const std::string& name, const Shape& shape, Role role);
  FactoredWeight(const FactoredWeight&) = delete;

  const std::string& name() const { return dense_->name; }
  Role role() const { return dense_->role; }
  const Shape& shape() const { return shape_; }
  int64_t out() const { return shape_[0]; }
  int64_t in() const { return shape_.elements() / shape_[0]; }
  bool transposed() const { return out() < in(); }  // A is the inner factor
  int64_t m() const { return transposed() ? in() : out(); }
  int64_t n() const { return transposed() ? out() : in(); }
  int64_t rank() const { return rank_; }  // k; 0 when dense
  bool factored() const { return rank_ > 0; }

  Parameter& dense() const { return *dense_; }
  Parameter& outer() const { return transposed() ? *b_ : *a_; }
  Parameter& inner() const { return transposed() ? *a_ : *b_; }
  Parameter& a() const { return *a_; }
  Parameter& b() const { return *b_; }

  // Changes which parameters are present; the store must be laid out again afterwards.
  void become_factored(int64_t k);
  void become_dense();

  FactorForward forward = FactorForward::kAuto;
  // True when two thin products cost fewer operations than the dense way for `rows` rows of x,
  // forward and backward of what is trained; or as `forward` says. False when dense.
  bool takes_thin(int64_t rows) const;

 private:
  Shape shape_;
  Parameter *dense_, *a_, *b_;
  int64_t rank_ = 0;
};

}  // namespace ab
