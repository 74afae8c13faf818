// One row of the seams' benchmark: a call of gemm, convolution or decomposition on a shape of the
// models, what it computes and moves, and how its result is checked. Results are too many to be
// computed in double one by one: a fixed sample of them is, spread over the whole result.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/convolution.h"
#include "engine/decomposition.h"
#include "engine/device.h"
#include "engine/gemm.h"
#include "tools/bench/seam_bound.h"

namespace ab {

struct SeamBuffer {
  int64_t elements = 0;
  DType dtype = DType::kFloat32;
};

// The buffers' values as they are stored, the result's empty.
using SeamValues = std::vector<std::vector<float>>;

// One number of the result: where it stands in its buffer, and what it should be.
struct SeamElement {
  int64_t place = 0;
  Sum sum;  // sum.stored: what would be stored on the way where a library runs the call in parts
};

struct SeamCase {
  std::string kernel;  // "gemm_nt"
  std::string shape;   // "(1576, 2304, 768)"
  DType dtype = DType::kFloat32;
  std::vector<SeamBuffer> buffers;  // uniform in [-1, 1); the last one is the result
  double bytes = 0.0;               // least traffic: every input read once, the result written once
  double flops = 0.0;
  std::function<void(Device&, Arena&, std::span<const DevicePtr>)> run;

  int64_t results = 0, terms = 0;  // numbers of the result, and how many products each sums
  std::function<SeamElement(const SeamValues&, int64_t index)> element;  // index in [0, results)

  // A decomposition: other values than random ones, and a check of its own instead of elements.
  std::function<void(SeamValues&)> prepare;
  std::function<bool(Device&, Arena&, std::span<const DevicePtr>)> holds;
};

// The part of a row that all seams share.
SeamCase seam_case(const std::string& kernel, const std::string& shape, DType dtype,
                   std::vector<SeamBuffer> buffers);

// C = op(A) op(B), or with bias; heads inside (images, tokens, heads, size) tensors where there
// are.
struct GemmRow {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  DType dtype = DType::kFloat32, result = DType::kFloat32;
  bool bias = false;
  int64_t images = 1, heads = 1;
};
SeamCase gemm_case(const GemmRow& row);

enum class ConvolutionPass : uint8_t { kForward, kForwardBiasRelu, kData, kFilter };
SeamCase convolution_case(const ConvolutionShape& shape, DType dtype, ConvolutionPass pass);

// A matrix (m, n) with sigma_j = 0.98^j, cut at `cutoff`.
SeamCase decomposition_case(int64_t m, int64_t n, SvdRoute route, float cutoff);

// Every row: shapes of ViT-B/16, ResNet-50 and VGG16 with `images` per batch.
std::vector<SeamCase> seam_cases(int64_t images);

// Images that fill the device: a GPU is not filled by what fills a CPU.
int64_t images_for(DeviceKind kind);

}  // namespace ab
