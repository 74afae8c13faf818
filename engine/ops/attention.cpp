#include "engine/ops/attention.h"

#include <cmath>
#include <stdexcept>

#include "engine/gemm.h"
#include "kernels/softmax.h"

namespace ab {
namespace {

struct Sizes {
  int64_t batch, tokens, dim, heads;
  DType dtype;

  int64_t head() const { return dim / heads; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head())); }

  // One head's (tokens, head) part of a (batch, tokens, width) tensor, from column `first` on.
  Matrix part(const Tensor& t, int64_t width, int64_t first) const {
    return {t.data().plus_bytes(static_cast<size_t>(first) * size_of(dtype)), width, false,
            tokens * width, head()};
  }
  // q, k or v (which = 0, 1, 2) of a fused tensor.
  Matrix fused(const Tensor& t, int which) const { return part(t, 3 * dim, which * dim); }
  // One head's (tokens, tokens) matrix.
  Matrix square(const Tensor& t) const {
    return {t.data(), tokens, false, heads * tokens * tokens, tokens * tokens};
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
  // (T, T) = a b^T over the head's width
  void scores(const Matrix& a, const Matrix& b, const Matrix& c) const {
    run(batched(s.tokens, s.tokens, s.head()), a, transposed(b), c);
  }
  // (T, head) = square b, or its transpose times b
  void mix(const Matrix& square, const Matrix& b, const Matrix& c) const {
    run(batched(s.tokens, s.head(), s.tokens), square, b, c);
  }
};

void backward(const Products& p, const Tensor& qkv, const Tensor& weights, const Tensor& dy,
              const Tensor& dqkv) {
  const Sizes& s = p.s;
  const Matrix grad = s.part(dy, s.dim, 0);
  p.mix(transposed(s.square(weights)), grad, s.fused(dqkv, 2));  // dv = P^T dy
  const Tensor dweights(*p.arena, weights.shape(), s.dtype);
  p.scores(grad, s.fused(qkv, 2), s.square(dweights));  // dP = dy v^T
  softmax_backward(p.stream, s.dtype,
                   {s.batch * s.heads * s.tokens, s.tokens, weights.data(), dweights.data(),
                    dweights.data(), s.scale()});
  p.mix(s.square(dweights), s.fused(qkv, 1), s.fused(dqkv, 0));              // dq = dS k
  p.mix(transposed(s.square(dweights)), s.fused(qkv, 0), s.fused(dqkv, 1));  // dk = dS^T q
}

}  // namespace

Tensor attention(Context& context, const Tensor& qkv, int heads) {
  const Shape& shape = qkv.shape();
  if (shape.rank() != 3 || heads < 1 || shape[2] % (3 * heads) != 0)
    throw std::invalid_argument("attention: qkv " + shape.text() + " with " +
                                std::to_string(heads) +
                                " heads: wants (batch, tokens, 3 * heads * size)");
  const Sizes s{shape[0], shape[1], shape[2] / 3, heads, qkv.dtype()};
  const Products p{&context.arena, context.stream, s};
  const Tensor weights = context.make({s.batch, s.heads, s.tokens, s.tokens}, s.dtype);
  p.scores(s.fused(qkv, 0), s.fused(qkv, 1), s.square(weights));
  softmax_forward(
      context.stream, s.dtype,
      {s.batch * s.heads * s.tokens, s.tokens, weights.data(), weights.data(), s.scale()});
  Tensor y = context.make({s.batch, s.tokens, s.dim}, s.dtype);
  p.mix(s.square(weights), s.fused(qkv, 2), s.part(y, s.dim, 0));
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
