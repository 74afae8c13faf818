// cuDNN's engines (dnn.h) and their arithmetic: plain loops in float over channels-last tensors.
// The engines differ where a caller has to look: engine 2 rounds fp32 operands to TF32 and sums a
// filter's gradient forwards and backwards in turns, so whoever takes it unasked fails the tests of
// accuracy and of equal bits; engine 1 needs a workspace; fp32 graphs with fused operations run on
// tensor cores only, and bf16 ones only with channels in multiples of 8.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "kernels/numbers.h"
#include "tests/standin/dnn.h"
#include "tests/standin/product.h"

namespace ab::standin {
namespace {

constexpr int64_t kTensorCores = 2;

using Values = std::vector<float>;  // of a tensor, in memory order

Values read(const DnnTensor& tensor, const void* from) {
  Values values(static_cast<size_t>(tensor.elements()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = tensor.type == CUDNN_DATA_BFLOAT16 ? load(static_cast<const BFloat16*>(from)[i])
                                                   : static_cast<const float*>(from)[i];
  return values;
}

void write(const DnnTensor& tensor, const Values& values, void* to) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (tensor.type == CUDNN_DATA_BFLOAT16)
      store(static_cast<BFloat16*>(to) + i, values[i]);
    else
      static_cast<float*>(to)[i] = values[i];
  }
}

void round_to_tf32(Values& values) {
  for (float& value : values) value = tf32(value);
}

// Calls f(x offset, w offset, y offset) for every pair of an input and an output pixel that a
// filter's tap joins; offsets are those of channel 0, w's of output channel 0 with `w_step`
// between.
template <class F>
void each_tap(const DnnOperation& op, const DnnTensor& x, const DnnTensor& w, const DnnTensor& y,
              bool backwards, F f) {
  const int64_t images = x.dims[0];
  for (int64_t i = 0; i < images; ++i) {
    const int64_t n = backwards ? images - 1 - i : i;
    for (int64_t p = 0; p < y.dims[2]; ++p)
      for (int64_t q = 0; q < y.dims[3]; ++q)
        for (int64_t r = 0; r < w.dims[2]; ++r)
          for (int64_t s = 0; s < w.dims[3]; ++s) {
            const int64_t h = p * op.stride[0] + r - op.padding[0];
            const int64_t v = q * op.stride[1] + s - op.padding[1];
            if (h < 0 || h >= x.dims[2] || v < 0 || v >= x.dims[3]) continue;
            f(n * x.strides[0] + h * x.strides[2] + v * x.strides[3],
              r * w.strides[2] + s * w.strides[3],
              n * y.strides[0] + p * y.strides[2] + q * y.strides[3]);
          }
  }
}

void convolve(const DnnOperation& op, const DnnGraph& graph, int64_t engine,
              std::map<int64_t, Values>& values) {
  const DnnTensor &xt = graph.tensor(op.x), &wt = graph.tensor(op.w), &yt = graph.tensor(op.y);
  const int64_t out = op.kind == DnnOperation::kForward ? op.y
                      : op.kind == DnnOperation::kData  ? op.x
                                                        : op.w;
  if (engine == kTensorCores && !graph.bf16())
    for (const int64_t uid : {op.x, op.w, op.y})
      if (uid != out) round_to_tf32(values.at(uid));
  values[out].assign(static_cast<size_t>(graph.tensor(out).elements()), 0.0f);
  static std::atomic<int> turn = 0;
  const bool backwards =
      engine == kTensorCores && op.kind == DnnOperation::kFilter && turn++ % 2 == 1;
  float *const x = values[op.x].data(), *const w = values[op.w].data();
  float* const y = values[op.y].data();
  const int64_t inputs = xt.dims[1], outputs = yt.dims[1], w_step = wt.strides[0];
  each_tap(op, xt, wt, yt, backwards, [&](int64_t at_x, int64_t at_w, int64_t at_y) {
    for (int64_t o = 0; o < outputs; ++o) {
      float *const xs = x + at_x, *const ws = w + at_w + o * w_step;
      float& sum = y[at_y + o];
      const float dy = sum;
      if (op.kind == DnnOperation::kForward) {
        float total = 0.0f;
#pragma omp simd reduction(+ : total)
        for (int64_t i = 0; i < inputs; ++i) total += xs[i] * ws[i];
        sum += total;
      } else if (op.kind == DnnOperation::kData) {
#pragma omp simd
        for (int64_t i = 0; i < inputs; ++i) xs[i] += dy * ws[i];
      } else {
#pragma omp simd
        for (int64_t i = 0; i < inputs; ++i) ws[i] += dy * xs[i];
      }
    }
  });
}

void add(const DnnOperation& op, const DnnGraph& graph, std::map<int64_t, Values>& values) {
  const DnnTensor &a = graph.tensor(op.x), &b = graph.tensor(op.w);
  Values result = values.at(op.x);
  size_t at = 0;
  int64_t i[4];
  for (i[0] = 0; i[0] < a.dims[0]; ++i[0])
    for (i[2] = 0; i[2] < a.dims[2]; ++i[2])
      for (i[3] = 0; i[3] < a.dims[3]; ++i[3])
        for (i[1] = 0; i[1] < a.dims[1]; ++i[1]) {
          int64_t other = 0;
          for (int d = 0; d < 4; ++d) other += b.dims[d] == 1 ? 0 : i[d] * b.strides[d];
          result[at++] += values.at(op.w)[static_cast<size_t>(other)];
        }
  values[op.y] = std::move(result);
}

void relu(const DnnOperation& op, std::map<int64_t, Values>& values) {
  Values result = values.at(op.x);
  for (float& value : result) value = value < 0.0f ? 0.0f : value;  // NaN stays
  values[op.y] = std::move(result);
}

std::atomic<size_t> more_workspace = 0;

bool channels_in_eights(const DnnGraph& graph) {
  const auto& w = graph.tensor(graph.operations[0].w).dims;
  return w[0] % 8 == 0 && w[1] % 8 == 0;
}

}  // namespace

Handles<DnnHandle>& dnn_handles() {
  static auto* const all = new Handles<DnnHandle>("a cuDNN handle");
  return *all;
}

std::vector<int64_t> dnn_engines(const DnnGraph& graph, bool fallback) {
  if (fallback) return {0};
  return graph.bf16() ? std::vector<int64_t>{2, 1} : std::vector<int64_t>{2, 1, 0};
}

std::vector<cudnnBackendNumericalNote_t> dnn_notes(const DnnGraph& graph, int64_t engine) {
  std::vector<cudnnBackendNumericalNote_t> notes;
  if (graph.bf16() || engine == kTensorCores) notes.push_back(CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
  if (engine == kTensorCores && graph.operations[0].kind == DnnOperation::kFilter)
    notes.push_back(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
  return notes;
}

void set_engine_workspace(size_t bytes) {
  more_workspace = bytes;
}

size_t dnn_workspace(const DnnGraph& graph, int64_t engine) {
  if (engine != 1) return 0;
  return graph.tensor(graph.operations[0].w).bytes() + 512 + more_workspace;
}

bool dnn_supports(const DnnGraph& graph, int64_t engine) {
  const DnnOperation& op = graph.operations[0];
  if (graph.fused() && graph.bf16()) return channels_in_eights(graph);
  if (graph.fused()) return engine == kTensorCores;
  // A filter's gradient in another type than its operands.
  if (graph.bf16() && graph.tensor(op.w).type == CUDNN_DATA_FLOAT) return channels_in_eights(graph);
  return true;
}

void dnn_compute(const DnnGraph& graph, int64_t engine, const std::map<int64_t, void*>& memory) {
  std::map<int64_t, Values> values;
  for (const auto& [uid, tensor] : graph.tensors)
    if (!tensor.is_virtual) values[uid] = read(tensor, memory.at(uid));
  for (const DnnOperation& op : graph.operations) {
    if (op.kind == DnnOperation::kAdd)
      add(op, graph, values);
    else if (op.kind == DnnOperation::kRelu)
      relu(op, values);
    else
      convolve(op, graph, engine, values);
  }
  const int64_t out = graph.result();
  write(graph.tensor(out), values.at(out), memory.at(out));
}

}  // namespace ab::standin

using namespace ab::standin;

extern "C" {

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  if (const int code = injected(__func__)) return static_cast<cudnnStatus_t>(code);
  DnnHandle* const made = dnn_handles().create();
  made->device = current_device();
  *handle = reinterpret_cast<cudnnHandle_t>(made);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  return dnn_handles().destroy(handle, __func__) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  DnnHandle* const found = dnn_handles().find(handle, __func__);
  if (!found) return CUDNN_STATUS_BAD_PARAM;
  found->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
  const DnnHandle* const found = dnn_handles().find(handle, __func__);
  if (!found) return CUDNN_STATUS_BAD_PARAM;
  *stream = found->stream;
  return CUDNN_STATUS_SUCCESS;
}

size_t cudnnGetVersion() {
  return CUDNN_VERSION;
}

const char* cudnnGetErrorString(cudnnStatus_t status) {
  thread_local std::string text;
  switch (status / 1000) {
    case 0:
      text = "CUDNN_STATUS_SUCCESS";
      break;
    case 1:
      text = "CUDNN_STATUS_NOT_INITIALIZED";
      break;
    case 2:
      text = "CUDNN_STATUS_BAD_PARAM";
      break;
    case 3:
      text = "CUDNN_STATUS_NOT_SUPPORTED";
      break;
    default:
      text = "CUDNN_STATUS " + std::to_string(status);
  }
  return text.c_str();
}

void cudnnGetLastErrorString(char* message, size_t bytes) {
  if (bytes == 0) return;
  const std::string& text = last_fault();
  const size_t length = std::min(bytes - 1, text.size());
  std::memcpy(message, text.data(), length);
  message[length] = 0;
}

}  // extern "C"
