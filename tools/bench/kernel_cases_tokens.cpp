// Case rows of kernels/tokens.h.
#include "kernels/tokens.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

constexpr DType kFloat = DType::kFloat32;

std::string text_of(int64_t a, int64_t b, int64_t c) {
  return std::string("(") + std::to_string(a) + ", " + std::to_string(b) + ", " +
         std::to_string(c) + ")";
}

KernelCase named(const std::string& kernel, const std::string& shape, DType t, double elements,
                 bool benchmark) {
  KernelCase c;
  c.kernel = kernel;
  c.shape = shape;
  c.dtype = t;
  c.bytes = elements * static_cast<double>(size_of(t));
  c.benchmark = benchmark;
  return c;
}

KernelCase patches_row(const PatchShape& s, DType t, bool benchmark) {
  const int64_t n = s.batch * s.height * s.width * s.channels;
  KernelCase c = named("extract_patches",
                       std::string("(") + std::to_string(s.batch) + ", " +
                           std::to_string(s.height) + ", " + std::to_string(s.width) + ", " +
                           std::to_string(s.channels) + ") p" + std::to_string(s.patch),
                       t, 2.0 * n, benchmark);
  c.buffers = {input("x", n, t), output("y", n, t)};
  c.run = [=](Stream stream, CasePointers p) { extract_patches(stream, t, s, p[0], p[1]); };
  c.reference = [=](CaseValues& v) {
    const int64_t across = s.width / s.patch, down = s.height / s.patch;
    int64_t to = 0;
    for (int64_t b = 0; b < s.batch; ++b)
      for (int64_t i = 0; i < down; ++i)
        for (int64_t j = 0; j < across; ++j)
          for (int64_t r = 0; r < s.patch; ++r)
            for (int64_t q = 0; q < s.patch; ++q)
              for (int64_t k = 0; k < s.channels; ++k)
                v[1][to++] = v[0][((b * s.height + i * s.patch + r) * s.width + j * s.patch + q) *
                                      s.channels +
                                  k];
  };
  return c;
}

// The value that stands at (n, t, d) of the assembled sequence.
double assembled(const CaseValues& v, const TokenShape& s, int64_t n, int64_t t, int64_t d) {
  const double token = t == 0 ? v[1][d] : v[0][(n * s.tokens + t - 1) * s.dim + d];
  return token + v[2][t * s.dim + d];
}

// f(index into y, n, t, d).
template <class F>
void for_each_output(const TokenShape& s, F f) {
  int64_t i = 0;
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t t = 0; t <= s.tokens; ++t)
      for (int64_t d = 0; d < s.dim; ++d) f(i++, n, t, d);
}

// Buffers: x, class, positions, y.
KernelCase assemble_row(const TokenShape& s, DType t, bool benchmark) {
  const int64_t n = s.batch * s.tokens * s.dim, m = s.batch * (s.tokens + 1) * s.dim;
  KernelCase c =
      named("assemble_tokens_forward", text_of(s.batch, s.tokens, s.dim), t, n + m, benchmark);
  c.buffers = {input("x", n, t), input("class", s.dim, kFloat),
               input("positions", (s.tokens + 1) * s.dim, kFloat), output("y", m, t)};
  c.run = [=](Stream stream, CasePointers p) {
    assemble_tokens_forward(stream, t, s, p[0], p[1], p[2], p[3]);
  };
  c.reference = [=](CaseValues& v) {
    for_each_output(s, [&](int64_t i, int64_t b, int64_t place, int64_t d) {
      v[3][i] = assembled(v, s, b, place, d);
    });
  };
  return c;
}

// Buffers: x, class, positions, dy, dx, dclass, dpositions.
KernelCase assemble_backward_row(const TokenShape& s, DType t, bool benchmark) {
  const int64_t n = s.batch * s.tokens * s.dim, m = s.batch * (s.tokens + 1) * s.dim;
  KernelCase c =
      named("assemble_tokens_backward", text_of(s.batch, s.tokens, s.dim), t, n + m, benchmark);
  c.buffers = {input("x", n, t),
               input("class", s.dim, kFloat),
               input("positions", (s.tokens + 1) * s.dim, kFloat),
               input("dy", m, t),
               output("dx", n, t),
               output("dclass", s.dim, kFloat, s.batch),
               output("dpositions", (s.tokens + 1) * s.dim, kFloat, s.batch)};
  c.run = [=](Stream stream, CasePointers p) {
    assemble_tokens_backward(stream, t, s, {p[3], p[4], p[5], p[6], 1.0f, 0.0f});
  };
  c.reference = [=](CaseValues& v) {
    for_each_output(s, [&](int64_t i, int64_t b, int64_t place, int64_t d) {
      v[6][place * s.dim + d] += v[3][i];
      if (place == 0)
        v[5][d] += v[3][i];
      else
        v[4][(b * s.tokens + place - 1) * s.dim + d] = v[3][i];
    });
  };
  if (benchmark) return c;
  c.loss = [=](const CaseValues& v) {
    double loss = 0.0;
    for_each_output(s, [&](int64_t i, int64_t b, int64_t place, int64_t d) {
      loss += v[3][i] * assembled(v, s, b, place, d);
    });
    return loss;
  };
  c.gradients = {{4, 0}, {5, 1}, {6, 2}};
  return c;
}

KernelCase first_row(const TokenShape& s, DType t, bool benchmark) {
  const int64_t n = s.batch * s.tokens * s.dim, m = s.batch * s.dim;
  KernelCase c =
      named("first_token_forward", text_of(s.batch, s.tokens, s.dim), t, 2.0 * m, benchmark);
  c.buffers = {input("x", n, t), output("y", m, t)};
  c.run = [=](Stream stream, CasePointers p) { first_token_forward(stream, t, s, p[0], p[1]); };
  c.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < m; ++i) v[1][i] = v[0][i / s.dim * s.tokens * s.dim + i % s.dim];
  };
  return c;
}

KernelCase first_backward_row(const TokenShape& s, DType t, bool benchmark) {
  const int64_t n = s.batch * s.tokens * s.dim, m = s.batch * s.dim;
  KernelCase c =
      named("first_token_backward", text_of(s.batch, s.tokens, s.dim), t, n + m, benchmark);
  c.buffers = {input("dy", m, t), output("dx", n, t, 1, Fill::kNormal)};
  c.run = [=](Stream stream, CasePointers p) { first_token_backward(stream, t, s, p[0], p[1]); };
  c.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = i / s.dim;
      v[1][i] = row % s.tokens == 0 ? v[0][row / s.tokens * s.dim + i % s.dim] : 0.0;
    }
  };
  return c;
}

}  // namespace

void add_token_cases(CaseList& cases) {
  constexpr PatchShape kImages[] = {{1, 1, 1, 1, 1}, {3, 6, 9, 3, 3}, {2, 8, 4, 5, 2}};
  constexpr TokenShape kSequences[] = {{1, 1, 1}, {3, 5, 7}, {17, 2, 65}, {2, 3, 4097}};
  for (const DType dtype : kActivationTypes) {
    for (const PatchShape& shape : kImages) cases.push_back(patches_row(shape, dtype, false));
    cases.push_back(patches_row({8, 224, 224, 3, 16}, dtype, true));
    const auto add = [&](const TokenShape& shape, bool benchmark) {
      cases.push_back(assemble_row(shape, dtype, benchmark));
      cases.push_back(assemble_backward_row(shape, dtype, benchmark));
      cases.push_back(first_row(shape, dtype, false));
      cases.push_back(first_backward_row(shape, dtype, benchmark));
    };
    for (const TokenShape& shape : kSequences) add(shape, false);
    add({8, 196, 768}, true);
  }
}

}  // namespace ab
