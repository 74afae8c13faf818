// Which oneDNN primitive runs a convolution, in which layouts.
//   Activations are handed over as they lie (plain NHWC) except where the blocked layout was
//   measured faster, both reorders included (prefers_blocked). Filters are reordered into whatever
//   the primitive asks for: 2 x filter bytes a call, under 2 % of the time for all but the smallest
//   batches. A kernel that covers its map runs as a matmul with bias and ReLU. The gradient for x
//   of a convolution without stride is itself a convolution, of dy with the filter turned about,
//     dx[n,h,w,i] = sum over r,s,o of dy[n, h+p-r, w+p-s, o] w[o,r,s,i],
//   and with AVX-512 oneDNN's forward primitives are faster than its backward ones. 3 x 3 filters
//   take fewer products where is_winograd holds, and no primitive.
// Figures are GF/s with oneDNN 2.6 on two threads, of CPUs with and without AVX-512.
#include <algorithm>

#include "engine/convolution_host.h"
#include "engine/convolution_host_winograd.h"

namespace ab {

using host::Descriptor;
using host::Dims;
using Tag = dnnl::memory::format_tag;

bool HostConvolution::covers_map(const ConvolutionShape& s) {
  return s.padding == 0 && s.kernel_h == s.height && s.kernel_w == s.width;
}

// With AVX-512 and on maps of at most 16 places the blocked backward primitive is as fast. Without
// it the backward primitive leads for all but 1 x 1 filters: (128, 8, 8, 256) 162 : 200, (16, 14,
// 14, 256) 158 : 177.
bool HostConvolution::data_is_forward(const ConvolutionShape& s) const {
  if (s.stride != 1 || s.padding >= s.kernel_h || s.padding >= s.kernel_w) return false;
  return s.kernel_h * s.kernel_w == 1 || (avx512_ && s.height * s.width > 16);
}

// A 1 x 1 filter at stride 1 has for its gradient dw (out, in) = dy^T x, a product over all places.
// Faster than oneDNN's convolution with AVX-512: fp32 of many places, bf16 of few; without it: on
// small maps, (16, 7, 7, 512) -> 2048 177 : 128, (16, 28, 28, 512) -> 128 126 : 160.
bool HostConvolution::filter_is_product(const ConvolutionShape& s, DType dtype) const {
  if (s.kernel_h * s.kernel_w != 1 || s.stride != 1 || s.padding != 0) return false;
  if (!avx512_) return s.height * s.width <= 64;
  const int64_t places = s.batch * s.height * s.width;
  if (dtype == DType::kBFloat16) return places <= 1024;
  return places >= 8192 && s.in_channels * s.out_channels >= 16384;
}

// Whether dw is a product over what each place of y sees of x, gathered first: on small maps, as
// oneDNN's loops run along a row of y. oneDNN's convolution against this, 3 x 3 unless told:
//   AVX-512, stride 2  bf16 (128, 8, 8, 64) -> 128 84 : 278, (128, 2, 2, 256) -> 512 49 : 273,
//                      (16, 14, 14, 512) 172 : 347, (16, 28, 28, 128) 293 : 210
//                      fp32 (128, 8, 8, 128) 96 : 192, (16, 14, 14, 512) 106 : 181
//                      bf16, 1 x 1 (16, 8, 8, 256) -> 512 239 : 284, (16, 16, 16, 256) 320 : 284
//            stride 1  bf16 (128, 2, 2, 512) 86 : 342, (16, 3, 3, 512) 181 : 229,
//                      (16, 4, 4, 512) 283 : 259
//   without            (128, 2, 2, 512) 32 : 150, (128, 4, 4, 512) 127 : 175, (16, 7, 7, 512)
//                      120 : 168, (128, 4, 4, 128) 134 : 115; and every 1 x 1 filter with a stride,
//                      as jit_1x1:avx2 now and then adds up a wrong one (two threads on a busy
//                      machine)
bool HostConvolution::filter_is_gathered(const ConvolutionShape& s) const {
  const bool point = s.kernel_h * s.kernel_w == 1;
  if (point && (s.stride == 1 || s.padding > 0)) return false;
  const int64_t places = s.out_height() * s.out_width();
  if (avx512_) return places <= (s.stride == 1 ? 9 : point ? 16 : 64);
  return point || s.height * s.width <= 4 || (places <= 64 && s.out_channels >= 512);
}

// fp32: forward, data and filter, oneDNN's convolution against this. With AVX-512: (8, 56, 56, 64)
// 220 : 308, 218 : 325, 177 : 285; (8, 7, 7, 512) 212 : 227, 198 : 290, 150 : 284; (128, 8, 8, 256)
// 252 : 326, 259 : 427, 232 : 434. Without: (16, 56, 56, 64) 185 : 315, 180 : 319, 111 : 314; (16,
// 7, 7, 512) 161 : 276, 190 : 295, 184 : 292; (128, 16, 16, 32) 178 : 229, 198 : 240, 150 : 246;
// with 16 channels 149 : 136, 180 : 139, 152 : 143. Tiles that reach over the map's edge cost as
// much as others; at most 4/5 of the direct products. A tap of few places (corners see one of a
// 2 x 2 map) would take over the rounding of its tile's. bf16 with AVX-512 is oneDNN's alone.
bool HostConvolution::is_winograd(const ConvolutionShape& s, DType dtype, Pass pass) const {
  if (avx512_ && dtype == DType::kBFloat16) return false;
  if (!host::Winograd::applies(s) || std::min(s.in_channels, s.out_channels) < 32) return false;
  const int64_t places = s.out_height() * s.out_width();
  const int64_t tiles = (s.out_height() + 1) / 2 * ((s.out_width() + 1) / 2);
  if (5 * 16 * tiles > 4 * 9 * places) return false;
  return pass != Pass::kFilter || s.batch * places >= 64;
}

// Plain against blocked with reorders, with AVX-512 and 3 x 3 filters:
//   forward  (128, 4, 4, 512) -> 512  fp32 336 : 458, bf16 860 : 1432;  256 -> 512 fp32 559 : 459
//   data     (128, 4, 4, 512) <- 512  fp32 500 : 666;                   2 x 2 maps 386 : 380
//   filter   stride 2, (16, 56, 56, 128) fp32 347 : 449, bf16 742 : 722; without AVX-512 100 : 125,
//            and 1 x 1 (16, 14, 14, 1024) -> 256 115 : 143
bool HostConvolution::prefers_blocked(const Request& request) const {
  const ConvolutionShape& s = request.shape;
  if (s.in_channels % 16 != 0 || s.out_channels % 16 != 0) return false;
  const bool bf16 = request.dtype == DType::kBFloat16;
  const int64_t map = s.height * s.width;
  if (s.kernel_h * s.kernel_w == 1)
    return !avx512_ && request.pass == Pass::kFilter && s.stride == 1 && map <= 256;
  if (request.pass == Pass::kForward) return map <= 16 && (bf16 || s.in_channels >= 512);
  if (request.pass == Pass::kData) return map <= 16 && map > 4;
  return s.stride > 1 && !bf16;
}

HostConvolution::Plan HostConvolution::make_plan(const Request& request) const {
  if (covers_map(request.shape)) return make_dense_plan(request);
  if (request.pass == Pass::kData && data_is_forward(request.shape))
    return make_data_as_forward_plan(request);
  return make_direct_plan(request);
}

HostConvolution::Plan HostConvolution::make_direct_plan(const Request& request) const {
  const ConvolutionShape& s = request.shape;
  const auto type = host::onednn_type(request.dtype);
  const auto filter_type = request.pass == Pass::kFilter ? dnnl::memory::data_type::f32 : type;
  const Tag layout = prefers_blocked(request) ? Tag::any : Tag::nhwc;
  const Dims x_dims{s.batch, s.in_channels, s.height, s.width};
  const Dims w_dims{s.out_channels, s.in_channels, s.kernel_h, s.kernel_w};
  const Dims y_dims{s.batch, s.out_channels, s.out_height(), s.out_width()};
  const Descriptor x(x_dims, type, Tag::nhwc), w(w_dims, filter_type, Tag::ohwi),
      y(y_dims, type, Tag::nhwc);
  host::ConvolutionOperands wanted{
      {x_dims, type, layout}, {w_dims, type, Tag::any}, {},
      {y_dims, type, layout}, {s.stride, s.stride},     {s.padding, s.padding}};
  if (request.bias)
    wanted.bias = Descriptor({s.out_channels}, dnnl::memory::data_type::f32, Tag::x);
  dnnl::post_ops ops;
  if (request.relu) host::append_relu(ops);
  const auto attr = host::attributes(ops);
  const auto forward = host::forward_plan(engine_, wanted, attr);
  Plan plan;
  plan.has_bias = request.bias;
  if (request.pass == Pass::kForward) {
    plan.step = host::Step(dnnl::convolution_forward(forward));
    adopt(plan, 0, DNNL_ARG_SRC, x, forward.src_desc(), false);
    adopt(plan, 1, DNNL_ARG_WEIGHTS, w, forward.weights_desc(), false);
    adopt(plan, 2, DNNL_ARG_DST, y, forward.dst_desc(), true);
    if (request.bias) plan.step.add(engine_, DNNL_ARG_BIAS, wanted.bias);
    finish(plan, forward.scratchpad_desc());
  } else if (request.pass == Pass::kData) {
    const auto data = host::backward_data_plan(engine_, wanted, attr, forward);
    plan.step = host::Step(dnnl::convolution_backward_data(data));
    adopt(plan, 0, DNNL_ARG_DIFF_DST, y, data.diff_dst_desc(), false);
    adopt(plan, 1, DNNL_ARG_WEIGHTS, w, data.weights_desc(), false);
    adopt(plan, 2, DNNL_ARG_DIFF_SRC, x, data.diff_src_desc(), true);
    finish(plan, data.scratchpad_desc());
  } else {
    wanted.w = Descriptor(w_dims, filter_type, Tag::any);
    const auto filter = host::backward_filter_plan(engine_, wanted, attr, forward);
    plan.step = host::Step(dnnl::convolution_backward_weights(filter));
    adopt(plan, 0, DNNL_ARG_SRC, x, filter.src_desc(), false);
    adopt(plan, 1, DNNL_ARG_DIFF_DST, y, filter.diff_dst_desc(), false);
    adopt(plan, 2, DNNL_ARG_DIFF_WEIGHTS, w, filter.diff_weights_desc(), true);
    finish(plan, filter.scratchpad_desc());
  }
  return plan;
}

HostConvolution::Plan HostConvolution::make_data_as_forward_plan(const Request& request) const {
  const ConvolutionShape& s = request.shape;
  const auto type = host::onednn_type(request.dtype);
  const Dims dy_dims{s.batch, s.out_channels, s.out_height(), s.out_width()};
  const Dims w_dims{s.in_channels, s.out_channels, s.kernel_h, s.kernel_w};
  const Dims dx_dims{s.batch, s.in_channels, s.height, s.width};
  const int64_t tap = s.in_channels, row = tap * s.kernel_w, filter = row * s.kernel_h;
  const Descriptor dy(dy_dims, type, Tag::nhwc), dx(dx_dims, type, Tag::nhwc);
  const Descriptor w(w_dims, type, Dims{1, filter, row, tap});  // (out, h, w, in), turned about
  const host::ConvolutionOperands wanted{
      dy,     {w_dims, type, Tag::any},
      {},     dx,
      {1, 1}, {s.kernel_h - 1 - s.padding, s.kernel_w - 1 - s.padding}};
  const auto forward = host::forward_plan(engine_, wanted, host::attributes({}));
  Plan plan;
  plan.step = host::Step(dnnl::convolution_forward(forward));
  adopt(plan, 0, DNNL_ARG_SRC, dy, forward.src_desc(), false);
  adopt(plan, 1, DNNL_ARG_WEIGHTS, w, forward.weights_desc(), false);
  adopt(plan, 2, DNNL_ARG_DST, dx, forward.dst_desc(), true);
  finish(plan, forward.scratchpad_desc());
  if (s.kernel_h * s.kernel_w > 1)
    plan.turned_bytes =
        static_cast<size_t>(filter * s.out_channels) * static_cast<size_t>(size_of(request.dtype));
  return plan;
}

HostConvolution::Plan HostConvolution::make_dense_plan(const Request& request) const {
  const ConvolutionShape& s = request.shape;
  const auto type = host::onednn_type(request.dtype);
  const int64_t inputs = s.kernel_h * s.kernel_w * s.in_channels;
  const Descriptor x({s.batch, inputs}, type, Tag::ab), w({inputs, s.out_channels}, type, Tag::ba),
      y({s.batch, s.out_channels}, type, Tag::ab);
  Descriptor bias;
  if (request.bias) bias = Descriptor({1, s.out_channels}, dnnl::memory::data_type::f32, Tag::ab);
  dnnl::post_ops ops;
  if (request.relu) host::append_relu(ops);
  const auto matmul = host::matmul_plan(engine_, x, w, bias, y, host::attributes(ops));
  Plan plan;
  plan.has_bias = request.bias;
  plan.step = host::Step(dnnl::matmul(matmul));
  adopt(plan, 0, DNNL_ARG_SRC, x, x, false);
  adopt(plan, 1, DNNL_ARG_WEIGHTS, w, w, false);
  adopt(plan, 2, DNNL_ARG_DST, y, y, true);
  if (request.bias) plan.step.add(engine_, DNNL_ARG_BIAS, bias);
  finish(plan, matmul.scratchpad_desc());
  return plan;
}

void HostConvolution::adopt(Plan& plan, size_t index, int argument, const Descriptor& plain,
                            const Descriptor& wanted, bool result) const {
  Operand& operand = plan.operands[index];
  operand.argument = argument;
  operand.result = result;
  plan.step.add(engine_, argument, wanted);
  if (plain == wanted) return;
  const Descriptor& from = result ? wanted : plain;
  const Descriptor& to = result ? plain : wanted;
  operand.reorder =
      host::Step(dnnl::reorder(dnnl::reorder::primitive_desc(engine_, from, engine_, to)));
  operand.reorder.add(engine_, DNNL_ARG_FROM, from);
  operand.reorder.add(engine_, DNNL_ARG_TO, to);
  operand.bytes = wanted.get_size();
}

void HostConvolution::finish(Plan& plan, const Descriptor& scratch) const {
  plan.scratch = scratch.get_size();
  if (plan.scratch > 0) plan.step.add(engine_, DNNL_ARG_SCRATCHPAD, scratch);
}

}  // namespace ab
