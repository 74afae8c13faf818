// The rows of the seams' benchmark and the shapes they take from the models: ViT-B/16 (197 tokens
// of 768, 12 heads, MLP 3072), ResNet-50 (1 x 1 products, stem, 3 x 3 of the first and last stage,
// a stride), VGG16 at 32 px (its maps, the 7 x 7 head, 1 x 1 4096).
#include "tools/bench/seam_case.h"

namespace ab {
namespace {

constexpr DType kTypes[] = {DType::kFloat32, DType::kBFloat16};

// A linear layer (rows, in) -> (rows, out): y = x w^T + bias, dx = dy w, dw = dy^T x in fp32.
void add_layer(std::vector<SeamCase>& cases, int64_t rows, int64_t in, int64_t out, DType dtype,
               bool bias) {
  cases.push_back(gemm_case({rows, out, in, false, true, dtype, dtype, bias}));
  cases.push_back(gemm_case({rows, in, out, false, false, dtype, dtype}));
  cases.push_back(gemm_case({out, in, rows, true, false, dtype, DType::kFloat32}));
}

void add_gemm(std::vector<SeamCase>& cases, int64_t images, DType dtype) {
  constexpr int64_t kTokens = 197, kDim = 768, kHeads = 12, kHead = kDim / kHeads;
  add_layer(cases, images * kTokens, kDim, 3 * kDim, dtype, false);  // ViT: qkv
  add_layer(cases, images * kTokens, kDim, 4 * kDim, dtype, true);   // fc1
  // scores = q k^T, mixed = scores v
  cases.push_back(
      gemm_case({kTokens, kTokens, kHead, false, true, dtype, dtype, false, images, kHeads}));
  cases.push_back(
      gemm_case({kTokens, kHead, kTokens, false, false, dtype, dtype, false, images, kHeads}));
  add_layer(cases, images * 56 * 56, 256, 64, dtype, false);  // ResNet-50, 1 x 1 of the first stage
  add_layer(cases, images * 7 * 7, 2048, 512, dtype, false);  // and of the last
  add_layer(cases, images * 16, 4096, 4096, dtype, true);     // VGG16, 1 x 1 of the head
}

void add_convolutions(std::vector<SeamCase>& cases, int64_t images, DType dtype) {
  using Pass = ConvolutionPass;
  const int64_t n = images, small = images * 16;  // VGG's images have 32 px
  const ConvolutionShape resnet[] = {{n, 224, 224, 3, 64, 7, 7, 2, 3},
                                     {n, 56, 56, 64, 64, 3, 3, 1, 1},
                                     {n, 56, 56, 256, 64, 1, 1, 1, 0},
                                     {n, 56, 56, 128, 128, 3, 3, 2, 1},
                                     {n, 7, 7, 512, 512, 3, 3, 1, 1}};
  const ConvolutionShape vgg[] = {{small, 32, 32, 64, 64, 3, 3, 1, 1},
                                  {small, 8, 8, 256, 256, 3, 3, 1, 1},
                                  {small, 2, 2, 512, 512, 3, 3, 1, 1}};
  for (const ConvolutionShape& s : resnet)
    for (const Pass pass : {Pass::kForward, Pass::kData, Pass::kFilter})
      if (s.in_channels > 3 || pass != Pass::kData)  // images have no gradient
        cases.push_back(convolution_case(s, dtype, pass));
  for (const ConvolutionShape& s : vgg)
    for (const Pass pass : {Pass::kForwardBiasRelu, Pass::kData, Pass::kFilter})
      cases.push_back(convolution_case(s, dtype, pass));
}

// The cutoff of the published settings; the full route is what a cutoff below 0.05 takes.
void add_decompositions(std::vector<SeamCase>& cases) {
  constexpr std::pair<int64_t, int64_t> kShapes[] = {{256, 64},  {512, 128},  {4608, 512},
                                                     {768, 768}, {2304, 768}, {3072, 768}};
  for (const auto& [m, n] : kShapes)
    for (const SvdRoute route : {SvdRoute::kGram, SvdRoute::kFull})
      cases.push_back(decomposition_case(m, n, route, route == SvdRoute::kGram ? 0.15f : 0.01f));
}

}  // namespace

SeamCase seam_case(const std::string& kernel, const std::string& shape, DType dtype,
                   std::vector<SeamBuffer> buffers) {
  SeamCase c;
  c.kernel = kernel;
  c.shape = shape;
  c.dtype = dtype;
  c.buffers = std::move(buffers);
  for (const SeamBuffer& b : c.buffers)
    c.bytes += static_cast<double>(b.elements) * static_cast<double>(size_of(b.dtype));
  return c;
}

int64_t images_for(DeviceKind kind) {
  return kind == DeviceKind::kCuda ? 128 : 8;
}

std::vector<SeamCase> seam_cases(int64_t images) {
  std::vector<SeamCase> cases;
  for (const DType dtype : kTypes) add_gemm(cases, images, dtype);
  for (const DType dtype : kTypes) add_convolutions(cases, images, dtype);
  add_decompositions(cases);
  return cases;
}

}  // namespace ab
