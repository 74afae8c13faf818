#include "engine/ops/attention.h"

#include <cmath>
#include <stdexcept>

#include "engine/gemm.h"
#include "kernels/softmax.h"

namespace ab {
namespace {

struct Sizes {
  int64_t batch, queries, tokens, dim, heads;  // queries: tokens that ask, the first ones
  DType dtype;

  int64_t head() const { return dim / heads; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head())); }

  // One head of q, k or v (which = 0, 1, 2) of a fused tensor: (tokens, head), q's first rows ask.
  Matrix fused(const Tensor& t, int which) const {
    return {t.data().plus_bytes(static_cast<size_t>(which * dim) * size_of(dtype)), 3 * dim, false,
            tokens * 3 * dim, head()};
  }
  // One head of the result or its gradient: (queries, head).
  Matrix result(const Tensor& t) const { return {t.data(), dim, false, queries * dim, head()}; }
  // One head's weights: (queries, tokens).
  Matrix weights(const Tensor& t) const {
    return {t.data(), tokens, false, heads * queries * tokens, queries * tokens};
  }
};

Matrix transposed(Matrix m) {
  m.transposed = true;
  return m;
}

struct Products {
  Arena* arena;
  Stream stream;
  Sizes s;

  GemmArguments batched(int64_t m, int64_t n, int64_t k) const {
    GemmArguments a;
    a.m = m, a.n = n, a.k = k;
    a.dtype = a.result_dtype = s.dtype;
    a.outer = s.batch, a.inner = s.heads;
    return a;
  }
  void run(GemmArguments arguments, const Matrix& a, const Matrix& b, const Matrix& c) const {
    arguments.a = a, arguments.b = b, arguments.c = c;
    arena->device().gemm().multiply(stream, *arena, arguments);
  }
  // (queries, tokens) = a b^T over the head's width
  void scores(const Matrix& a, const Matrix& b, const Matrix& c) const {
    run(batched(s.queries, s.tokens, s.head()), a, transposed(b), c);
  }
  // (queries, head) = weights b
  void mix(const Matrix& weights, const Matrix& b, const Matrix& c) const {
    run(batched(s.queries, s.head(), s.tokens), weights, b, c);
  }
  // (tokens, head) = weights^T b
  void spread(const Matrix& weights, const Matrix& b, const Matrix& c) const {
    run(batched(s.tokens, s.head(), s.queries), transposed(weights), b, c);
  }
  int64_t rows() const { return s.batch * s.heads * s.queries; }
};

void backward(const Products& p, const Tensor& qkv, const Tensor& weights, const Tensor& dy,
              const Tensor& dqkv) {
  const Sizes& s = p.s;
  if (s.queries < s.tokens)  // who did not ask has no dq
    p.arena->device().runtime().zero(p.stream, dqkv.data(), dqkv.bytes());
  const Matrix grad = s.result(dy);
  p.spread(s.weights(weights), grad, s.fused(dqkv, 2));  // dv = P^T dy
  const Tensor dweights(*p.arena, weights.shape(), s.dtype);
  p.scores(grad, s.fused(qkv, 2), s.weights(dweights));  // dP = dy v^T
  softmax_backward(
      p.stream, s.dtype,
      {p.rows(), s.tokens, weights.data(), dweights.data(), dweights.data(), s.scale()});
  p.mix(s.weights(dweights), s.fused(qkv, 1), s.fused(dqkv, 0));     // dq = dS k
  p.spread(s.weights(dweights), s.fused(qkv, 0), s.fused(dqkv, 1));  // dk = dS^T q
}

}  // namespace

Tensor attention(Context& context, const Tensor& qkv, int heads, Queries queries) {
  const Shape& shape = qkv.shape();
  if (shape.rank() != 3 || heads < 1 || shape[2] % (3 * heads) != 0)
    throw std::invalid_argument("attention: qkv " + shape.text() + " with " +
                                std::to_string(heads) +
                                " heads: wants (batch, tokens, 3 * heads * size)");
  const bool all = queries == Queries::kAll;
  const Sizes s{shape[0], all ? shape[1] : 1, shape[1], shape[2] / 3, heads, qkv.dtype()};
  const Products p{&context.arena, context.stream, s};
  const Tensor weights = context.make({s.batch, s.heads, s.queries, s.tokens}, s.dtype);
  p.scores(s.fused(qkv, 0), s.fused(qkv, 1), s.weights(weights));
  softmax_forward(context.stream, s.dtype,
                  {p.rows(), s.tokens, weights.data(), weights.data(), s.scale()});
  const Shape result = all ? Shape{s.batch, s.tokens, s.dim} : Shape{s.batch, s.dim};
  Tensor y = context.make(result, s.dtype);
  p.mix(s.weights(weights), s.fused(qkv, 2), s.result(y));
  if (!context.wants(qkv)) return y;
  Tape* tape = context.tape;
  tape->track(y);
  tape->record([tape, p, qkv, weights, slot = y.slot] {
    const Tensor dy = tape->take_gradient(slot);
    if (!dy) return;
    Tensor dqkv(*p.arena, qkv.shape(), qkv.dtype());
    backward(p, qkv, weights, dy, dqkv);
    tape->give_gradient(p.stream, qkv, std::move(dqkv));
  });
  return y;
}

}  // namespace ab
