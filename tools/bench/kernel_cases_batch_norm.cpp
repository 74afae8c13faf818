// Case rows of kernels/batch_norm.h. The hard input (mean 1000) is where a variance computed as
// E[x^2] - mean^2 in float fails; tall rows are where the chunks grow beyond 256 rows.
#include <algorithm>
#include <cmath>

#include "kernels/batch_norm.h"
#include "tools/bench/kernel_cases.h"

namespace ab {
namespace {

constexpr float kEpsilon = 1e-5f;
constexpr DType kFloat = DType::kFloat32;

// Column c of a (rows, channels) matrix.
struct Moments {
  double mean = 0.0, m2 = 0.0;
};

Moments moments_of(const std::vector<double>& x, int64_t rows, int64_t channels, int64_t c) {
  Moments m;
  for (int64_t r = 0; r < rows; ++r) m.mean += x[r * channels + c];
  m.mean /= static_cast<double>(rows);
  for (int64_t r = 0; r < rows; ++r)
    m.m2 += (x[r * channels + c] - m.mean) * (x[r * channels + c] - m.mean);
  return m;
}

double rstd_of(const Moments& m, int64_t rows) {
  return 1.0 / std::sqrt(m.m2 / static_cast<double>(rows) + kEpsilon);
}

KernelCase named(const std::string& kernel, const CaseShape& shape, DType t, int sweeps) {
  KernelCase c;
  c.kernel = kernel;
  c.shape = shape.text();
  c.dtype = t;
  c.bytes = static_cast<double>(sweeps) * shape.elements() * size_of(t);
  c.benchmark = shape.benchmark;
  return c;
}

KernelCase statistics_row(const CaseShape& shape, DType t, Fill fill) {
  const int64_t rows = shape.rows, channels = shape.cols;
  KernelCase c = named("batch_norm_statistics", shape, t, 1);
  c.buffers = {input("x", shape.elements(), t, fill), output("mean", channels, kFloat, rows),
               output("m2", channels, kFloat, rows),
               scratch(batch_norm_scratch_bytes(rows, channels))};
  c.run = [=](Stream s, CasePointers p) {
    batch_norm_statistics(s, t, {p[0], rows, channels, p[3], p[1], p[2]});
  };
  c.reference = [=](CaseValues& v) {
    for (int64_t col = 0; col < channels; ++col) {
      const Moments m = moments_of(v[0], rows, channels, col);
      v[1][col] = m.mean;
      v[2][col] = m.m2;
    }
  };
  return c;
}

// Buffers shared by apply and backward: x, residual or dy, y, mean, rstd, gamma, beta.
std::vector<CaseBuffer> operands(const CaseShape& shape, DType t, Fill fill) {
  const int64_t n = shape.elements(), channels = shape.cols;
  return {input("x", n, t, fill),          input("other", n, t),
          input("y", n, t, Fill::kZero),   input("mean", channels, kFloat),
          input("rstd", channels, kFloat), input("gamma", channels, kFloat),
          input("beta", channels, kFloat)};
}

void prepare_statistics(CaseValues& v, int64_t rows, int64_t channels) {
  for (int64_t col = 0; col < channels; ++col) {
    const Moments m = moments_of(v[0], rows, channels, col);
    v[3][col] = m.mean;
    v[4][col] = rstd_of(m, rows);
  }
}

double normalised(const CaseValues& v, int64_t i, int64_t c) {
  return (v[0][i] - v[3][c]) * v[4][c] * v[5][c] + v[6][c];
}

KernelCase apply_row(const CaseShape& shape, DType t, Fill fill, bool residual, bool relu) {
  const int64_t rows = shape.rows, channels = shape.cols;
  KernelCase c =
      named(std::string("batch_norm_apply") + (residual ? "_residual" : "") + (relu ? "_relu" : ""),
            shape, t, residual ? 3 : 2);
  c.buffers = operands(shape, t, fill);
  c.buffers[2] = output("y", shape.elements(), t);
  c.prepare = [=](CaseValues& v) { prepare_statistics(v, rows, channels); };
  c.run = [=](Stream s, CasePointers p) {
    batch_norm_apply(
        s, t,
        {p[0], residual ? p[1] : DevicePtr(), p[2], p[3], p[4], p[5], p[6], rows, channels, relu});
  };
  c.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < rows * channels; ++i) {
      const double z = normalised(v, i, i % channels) + (residual ? v[1][i] : 0.0);
      v[2][i] = relu && z < 0.0 ? 0.0 : z;
    }
  };
  return c;
}

enum class Behind { kPlain, kReluFromX, kReluFromY };

bool passes(const CaseValues& v, Behind behind, int64_t i, int64_t c) {
  return behind == Behind::kPlain ||
         (behind == Behind::kReluFromY ? v[2][i] > 0.0 : normalised(v, i, c) > 0.0);
}

BatchNormGradient gradient_arguments(CasePointers p, const CaseShape& shape, Behind behind) {
  return {p[0],       behind == Behind::kReluFromY ? p[2] : DevicePtr(),
          p[1],       p[3],
          p[4],       p[5],
          p[6],       shape.rows,
          shape.cols, behind != Behind::kPlain};
}

// sum of dy * y with the statistics taken from x, as training does.
double training_loss(const CaseValues& v, int64_t rows, int64_t channels, bool relu) {
  double loss = 0.0;
  for (int64_t col = 0; col < channels; ++col) {
    const Moments m = moments_of(v[0], rows, channels, col);
    const double scale = rstd_of(m, rows) * v[5][col];
    for (int64_t i = col; i < rows * channels; i += channels) {
      const double z = (v[0][i] - m.mean) * scale + v[6][col];
      loss += relu && z < 0.0 ? 0.0 : v[1][i] * z;
    }
  }
  return loss;
}

KernelCase backward_row(const std::string& kernel, const CaseShape& shape, DType t, Fill fill,
                        Behind behind, int sweeps) {
  const int64_t rows = shape.rows, channels = shape.cols;
  KernelCase c = named(kernel + (behind == Behind::kPlain       ? ""
                                 : behind == Behind::kReluFromX ? "_relu"
                                                                : "_relu_residual"),
                       shape, t, sweeps + (behind == Behind::kReluFromY ? 1 : 0));
  c.buffers = operands(shape, t, fill);
  c.prepare = [=](CaseValues& v) {
    prepare_statistics(v, rows, channels);
    for (int64_t i = 0; i < rows * channels; ++i)
      v[2][i] = std::max(0.0, normalised(v, i, i % channels));
  };
  // A step of 1e-4 that pushes some element through the kink of a ReLU spoils a difference: few
  // rows.
  if (!shape.benchmark && (behind == Behind::kPlain || rows <= 65))
    c.loss = [=](const CaseValues& v) {
      return training_loss(v, rows, channels, behind != Behind::kPlain);
    };
  return c;
}

// Appends sums (2, C), dgamma, dbeta, scratch.
KernelCase sums_row(const CaseShape& shape, DType t, Fill fill, Behind behind) {
  const int64_t rows = shape.rows, channels = shape.cols;
  KernelCase c = backward_row("batch_norm_backward_sums", shape, t, fill, behind, 2);
  c.buffers.push_back(output("sums", 2 * channels, kFloat, rows));
  c.buffers.push_back(output("dgamma", channels, kFloat, rows));
  c.buffers.push_back(output("dbeta", channels, kFloat, rows));
  c.buffers.push_back(scratch(batch_norm_scratch_bytes(rows, channels)));
  c.run = [=](Stream s, CasePointers p) {
    batch_norm_backward_sums(s, t, gradient_arguments(p, shape, behind),
                             {p[10], p[7], p[8], p[9], 1.0f, 1.0f});
  };
  c.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < rows * channels; ++i) {
      const int64_t col = i % channels;
      if (!passes(v, behind, i, col)) continue;
      const double with_xhat = v[1][i] * (v[0][i] - v[3][col]) * v[4][col];
      v[7][col] += v[1][i];
      v[9][col] += v[1][i];
      v[7][channels + col] += with_xhat;
      v[8][col] += with_xhat;
    }
  };
  c.gradients = {{8, 5}, {9, 6}};
  if (shape.benchmark) c.gradients.clear();
  return c;
}

// Appends sums (2, C), dx, dresidual.
KernelCase input_row(const CaseShape& shape, DType t, Fill fill, Behind behind) {
  const int64_t rows = shape.rows, channels = shape.cols;
  const bool residual = behind == Behind::kReluFromY;
  KernelCase c =
      backward_row("batch_norm_backward_apply", shape, t, fill, behind, residual ? 4 : 3);
  c.buffers.push_back(input("sums", 2 * channels, kFloat));
  c.buffers.push_back(output("dx", shape.elements(), t, rows));
  if (residual) c.buffers.push_back(output("dresidual", shape.elements(), t));
  c.prepare = [=, before = c.prepare](CaseValues& v) {
    before(v);
    for (double& sum : v[7]) sum = 0.0;
    for (int64_t i = 0; i < rows * channels; ++i) {
      const int64_t col = i % channels;
      if (!passes(v, behind, i, col)) continue;
      v[7][col] += v[1][i];
      v[7][channels + col] += v[1][i] * (v[0][i] - v[3][col]) * v[4][col];
    }
  };
  const float share = 1.0f / static_cast<float>(rows);
  c.run = [=](Stream s, CasePointers p) {
    batch_norm_backward_apply(s, t, gradient_arguments(p, shape, behind),
                              {p[7], share, p[8], residual ? p[9] : DevicePtr()});
  };
  c.reference = [=](CaseValues& v) {
    for (int64_t i = 0; i < rows * channels; ++i) {
      const int64_t col = i % channels;
      const double dz = passes(v, behind, i, col) ? v[1][i] : 0.0;
      const double xhat = (v[0][i] - v[3][col]) * v[4][col];
      v[8][i] = v[5][col] * v[4][col] *
                (dz - (v[7][col] + xhat * v[7][channels + col]) / static_cast<double>(rows));
      if (residual) v[9][i] = dz;
    }
  };
  c.gradients = {{8, 0}};
  if (shape.benchmark) c.gradients.clear();
  return c;
}

void add_rows(CaseList& cases, const CaseShape& shape, DType t, Fill fill) {
  cases.push_back(statistics_row(shape, t, fill));
  for (const bool residual : {false, true})
    for (const bool relu : {false, true}) {
      if (shape.benchmark && !relu) continue;
      cases.push_back(apply_row(shape, t, fill, residual, relu));
    }
  for (const Behind behind : {Behind::kPlain, Behind::kReluFromX, Behind::kReluFromY}) {
    if (shape.benchmark && behind == Behind::kPlain) continue;
    cases.push_back(sums_row(shape, t, fill, behind));
    cases.push_back(input_row(shape, t, fill, behind));
  }
}

}  // namespace

void add_batch_norm_cases(CaseList& cases) {
  constexpr CaseShape kShapes[] = {{5, 1},     {3, 7},    {31, 17},          {65, 65},
                                   {257, 129}, {2, 4097}, {12544, 256, true}};
  for (const DType dtype : kActivationTypes) {
    for (const CaseShape& shape : kShapes) add_rows(cases, shape, dtype, Fill::kNormal);
    add_rows(cases, {257, 65}, dtype, Fill::kHard);
  }
  // Over 512 chunks of 256 rows: the chunks grow.
  constexpr CaseShape kTall{140001, 2};
  cases.push_back(statistics_row({1, 1}, DType::kFloat32, Fill::kHard));
  cases.push_back(statistics_row(kTall, DType::kFloat32, Fill::kHard));
  cases.push_back(sums_row(kTall, DType::kFloat32, Fill::kNormal, Behind::kPlain));
}

}  // namespace ab
