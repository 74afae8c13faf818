// Rows of the gemm seam. Batches stand as attention leaves them: the heads of an image side by side
// in its rows where an operand is a part of (images, tokens, heads * size), one (tokens, tokens)
// matrix per head where it is a matrix of scores.
#include "tools/bench/seam_case.h"

namespace ab {
namespace {

// Where product (image, head) of an operand begins, and how it goes on.
Matrix place(const GemmRow& row, int64_t rows, int64_t columns, bool transposed) {
  const int64_t stored_rows = transposed ? columns : rows, width = transposed ? rows : columns;
  const bool square = row.heads > 1 && stored_rows == width;  // scores
  const int64_t ld = square ? width : width * row.heads;
  Matrix x{DevicePtr(), ld, transposed};
  x.inner_stride = square ? stored_rows * width : width;
  x.outer_stride = stored_rows * width * row.heads;
  return x;
}

int64_t elements_of(const GemmRow& row, const Matrix& x) {
  return row.images * x.outer_stride;
}

int64_t at(const Matrix& x, int64_t image, int64_t head, int64_t i, int64_t j) {
  return image * x.outer_stride + head * x.inner_stride +
         (x.transposed ? j * x.ld + i : i * x.ld + j);
}

SeamElement reference(const GemmRow& row, const GemmArguments& g, const SeamValues& v,
                      int64_t index) {
  const int64_t j = index % row.n, i = index / row.n % row.m;
  const int64_t head = index / (row.n * row.m) % row.heads;
  const int64_t image = index / (row.n * row.m * row.heads);
  SeamElement e;
  e.place = at(g.c, image, head, i, j);
  for (int64_t k = 0; k < row.k; ++k)
    e.sum.add(static_cast<double>(v[0][at(g.a, image, head, i, k)]) *
              v[1][at(g.b, image, head, k, j)]);
  if (row.bias) e.sum.add(v[2][j]);
  return e;
}

}  // namespace

SeamCase gemm_case(const GemmRow& row) {
  GemmArguments g;
  g.m = row.m, g.n = row.n, g.k = row.k;
  g.a = place(row, row.m, row.k, row.transpose_a);
  g.b = place(row, row.k, row.n, row.transpose_b);
  g.c = place(row, row.m, row.n, false);
  g.dtype = row.dtype, g.result_dtype = row.result;
  g.outer = row.images, g.inner = row.heads;
  std::vector<SeamBuffer> buffers{{elements_of(row, g.a), row.dtype},
                                  {elements_of(row, g.b), row.dtype}};
  if (row.bias) buffers.push_back({row.n, row.result});
  buffers.push_back({elements_of(row, g.c), row.result});
  const int64_t products = row.images * row.heads;
  std::string shape = "(" + std::to_string(row.m) + ", " + std::to_string(row.n) + ", " +
                      std::to_string(row.k) + ")";
  if (products > 1) shape += " x " + std::to_string(products);
  std::string name = std::string("gemm_") + (row.transpose_a ? 't' : 'n');
  name += row.transpose_b ? 't' : 'n';
  SeamCase c = seam_case(name + (row.bias       ? "_bias"
                                 : products > 1 ? "_heads"
                                                : ""),
                         shape, row.dtype, std::move(buffers));
  c.flops = 2.0 * row.m * row.n * row.k * products;
  c.results = row.m * row.n * products;
  c.terms = row.k + (row.bias ? 1 : 0);
  c.run = [g, bias = row.bias](Device& device, Arena& arena, std::span<const DevicePtr> p) {
    GemmArguments call = g;
    call.a.data = p[0], call.b.data = p[1], call.c.data = p.back();
    if (bias) call.bias = p[2];
    device.gemm().multiply(device.stream(), arena, call);
  };
  c.element = [row, g](const SeamValues& v, int64_t index) { return reference(row, g, v, index); };
  return c;
}

}  // namespace ab
