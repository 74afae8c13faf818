// The rows of the seams' benchmark: on small shapes each agrees with its reference on every
// element, a wrong reference does not, and what a row counts is what can be counted by hand.
#include <algorithm>
#include <set>
#include <tuple>

#include "tests/catch.h"
#include "tests/device_under_test.h"
#include "tools/bench/seam_runner.h"

namespace ab {
namespace {

constexpr DType kTypes[] = {DType::kFloat32, DType::kBFloat16};

std::vector<SeamCase> small_cases(DType t) {
  std::vector<SeamCase> cases;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) cases.push_back(gemm_case({7, 11, 13, ta, tb, t, t}));
  cases.push_back(gemm_case({7, 11, 13, false, true, t, t, true}));
  cases.push_back(gemm_case({11, 7, 13, true, false, t, DType::kFloat32}));
  cases.push_back(gemm_case({5, 5, 4, false, true, t, t, false, 2, 3}));   // scores
  cases.push_back(gemm_case({5, 4, 5, false, false, t, t, false, 2, 3}));  // scores times values
  using Pass = ConvolutionPass;
  for (const Pass pass : {Pass::kForward, Pass::kForwardBiasRelu, Pass::kData, Pass::kFilter}) {
    cases.push_back(convolution_case({2, 6, 5, 3, 4, 3, 3, 2, 1}, t, pass));
    cases.push_back(convolution_case({2, 3, 3, 8, 8, 1, 1, 1, 0}, t, pass));
  }
  return cases;
}

// The rows, with the error that a runner finds of each.
template <class Change>
void each_error(std::vector<SeamCase> cases, Change change) {
  const auto device = Device::create(test_device());
  for (SeamCase& row : cases) {
    INFO(row.kernel << " " << row.shape << " " << name_of(row.dtype));
    change(row);
    const double error = SeamRunner(*device, row).worst_error();
    CHECK(error <= 1.0);
  }
}

}  // namespace

TEST_CASE("rows of the seams agree with their references") {
  for (const DType t : kTypes)
    each_error(small_cases(t), [](const SeamCase& row) {
      REQUIRE(row.results <= 257);  // the sample is the whole
      std::set<int64_t> places;
      SeamValues values;
      for (const SeamBuffer& b : row.buffers) values.emplace_back(b.elements, 1.0f);
      for (int64_t i = 0; i < row.results; ++i) places.insert(row.element(values, i).place);
      CHECK(static_cast<int64_t>(places.size()) == row.results);
      CHECK(*places.rbegin() == row.buffers.back().elements - 1);
    });
  for (const SvdRoute route : {SvdRoute::kGram, SvdRoute::kFull})
    each_error({decomposition_case(120, 100, route, 0.2f)}, [](const SeamCase&) {});
}

TEST_CASE("a row whose result is wrong does not agree") {
  const auto device = Device::create(test_device());
  for (const DType t : kTypes)
    for (SeamCase& row : small_cases(t)) {
      INFO(row.kernel << " " << row.shape << " " << name_of(row.dtype));
      row.element = [right = row.element, last = row.results - 1](const SeamValues& v, int64_t i) {
        SeamElement e = right(v, i);
        if (i == last) e.sum.value += 0.1 * e.sum.magnitude;
        return e;
      };
      CHECK(SeamRunner(*device, row).worst_error() > 1.0);
    }
  SeamCase row = decomposition_case(120, 100, SvdRoute::kGram, 0.2f);
  row.prepare = [right = row.prepare](SeamValues& v) {
    right(v);
    for (float& x : v[0]) x *= 1.001f;
  };
  CHECK(SeamRunner(*device, row).worst_error() > 1.0);
}

TEST_CASE("rows of the seams have names of their own, and count what they do") {
  const std::vector<SeamCase> cases = seam_cases(8);
  std::set<std::tuple<std::string, std::string, DType>> names;
  for (const SeamCase& row : cases) {
    names.insert({row.kernel, row.shape, row.dtype});
    CHECK(row.flops > 0.0);
    CHECK(row.bytes > 0.0);
  }
  CHECK(names.size() == cases.size());
  const auto row = [&](const std::string& kernel, const std::string& shape) {
    const auto found = std::find_if(cases.begin(), cases.end(), [&](const SeamCase& c) {
      return c.kernel == kernel && c.shape == shape;
    });
    REQUIRE(found != cases.end());
    return *found;
  };
  // ViT-B/16, 8 images of 197 tokens: qkv. 2 * 1576 * 2304 * 768; 4 bytes of x, w and y.
  const SeamCase qkv = row("gemm_nt", "(1576, 2304, 768)");
  CHECK(qkv.flops == 5577375744.0);
  CHECK(qkv.bytes == 4.0 * (1576 * 768 + 2304 * 768 + 1576 * 2304));
  // ResNet-50's stem: 8 maps of 112 x 112 with 64 channels, each a sum of 7 * 7 * 3 products.
  CHECK(row("convolution_forward", "8x224x224x3 7x7/2 64").flops == 2.0 * 8 * 112 * 112 * 64 * 147);
}

}  // namespace ab
