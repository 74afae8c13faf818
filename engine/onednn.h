// oneDNN behind one header, for the host seams of gemm and convolution alone.
// Absorbs what differs between oneDNN 2 (Debian 12: 2.6) and oneDNN 3 (Debian 13, Ubuntu 24.04): in
// 3 a primitive descriptor is built from its operands directly, in 2 through an operation
// descriptor. A Step is a primitive with its memory objects, made once and then only given
// addresses, so that a repeated call allocates nothing of ours. Scratch memory is the caller's
// (scratchpad mode user).
#pragma once
#include <array>
#include <cstdint>
#include <dnnl.hpp>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/error.h"
#include "kernels/stream.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace ab::host {

using Dims = dnnl::memory::dims;
using Descriptor = dnnl::memory::desc;

inline dnnl::memory::data_type onednn_type(DType dtype) {
  return dtype == DType::kBFloat16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

inline int threads() {
#if defined(_OPENMP)
  return omp_get_max_threads();
#else
  return 1;
#endif
}

inline int thread() {
#if defined(_OPENMP)
  return omp_get_thread_num();
#else
  return 0;
#endif
}

// c = alpha op(a) op(b) + beta c, row-major; within a parallel region on the calling thread alone.
inline bool sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
                  int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  return dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) ==
         dnnl_success;
}

// A primitive's arguments as numbers; the number of threads is always one of them, because a
// primitive splits its work when it is made.
template <size_t N>
using Key = std::array<int64_t, N>;

template <size_t N>
struct KeyHash {
  size_t operator()(const Key<N>& key) const {
    uint64_t hash = 14695981039346656037u;  // FNV-1a, one word at a time
    for (const int64_t word : key) {
      hash = (hash ^ static_cast<uint64_t>(word)) * 1099511628211u;
      hash ^= hash >> 29;
    }
    return hash;
  }
};

// oneDNN's bf16 primitives want AVX-512; on other CPUs (or below ONEDNN_MAX_CPU_ISA) the seams
// widen to fp32, multiply, and round the result: the same formula, more memory.
inline bool has_avx512() {
  const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto wanted = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);
  return (isa & wanted) == wanted;
}

// Runs f, turning oneDNN's refusal into ours. what: the operation with its sizes.
template <class F>
auto guarded(const std::string& what, F f) {
  try {
    return f();
  } catch (const dnnl::error& error) {
    throw DeviceError("oneDNN " + what + ": " + error.what());
  }
}

// As guarded, one thread of the process at a time: oneDNN 2 looks its reorders up in a map that a
// lookup may insert into, without a lock (operator[]), and ranks that are threads make plans at
// once.
inline std::mutex planning;

template <class F>
auto planned(const std::string& what, F f) {
  const std::scoped_lock lock(planning);
  return guarded(what, f);
}

inline void append_linear(dnnl::post_ops& ops, float alpha) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(dnnl::algorithm::eltwise_linear, alpha, 0.0f);
#else
  ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_linear, alpha, 0.0f);
#endif
}

inline void append_relu(dnnl::post_ops& ops) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
#else
  ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
#endif
}

inline dnnl::primitive_attr attributes(const dnnl::post_ops& ops) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(ops);
  return attr;
}

// bias: the zero descriptor when there is none.
inline dnnl::matmul::primitive_desc matmul_plan(const dnnl::engine& engine, const Descriptor& a,
                                                const Descriptor& b, const Descriptor& bias,
                                                const Descriptor& c,
                                                const dnnl::primitive_attr& attr) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, a, b, bias, c, attr};
#else
  return {dnnl::matmul::desc(a, b, bias, c), attr, engine};
#endif
}

struct ConvolutionOperands {
  Descriptor x, w, bias, y;  // bias: the zero descriptor when there is none
  Dims strides, padding;     // (vertical, horizontal); the same padding on both sides
};

inline dnnl::convolution_forward::primitive_desc forward_plan(const dnnl::engine& engine,
                                                              const ConvolutionOperands& o,
                                                              const dnnl::primitive_attr& attr) {
  constexpr auto kKind = dnnl::prop_kind::forward_training;
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return {engine, kKind, kDirect, o.x, o.w, o.bias, o.y, o.strides, o.padding, o.padding, attr};
#else
  return {{kKind, kDirect, o.x, o.w, o.bias, o.y, o.strides, o.padding, o.padding}, attr, engine};
#endif
}

inline dnnl::convolution_backward_data::primitive_desc backward_data_plan(
    const dnnl::engine& engine, const ConvolutionOperands& o, const dnnl::primitive_attr& attr,
    const dnnl::convolution_forward::primitive_desc& forward) {
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return {engine, kDirect, o.x, o.w, o.y, o.strides, o.padding, o.padding, forward, attr};
#else
  return {{kDirect, o.x, o.w, o.y, o.strides, o.padding, o.padding}, attr, engine, forward};
#endif
}

inline dnnl::convolution_backward_weights::primitive_desc backward_filter_plan(
    const dnnl::engine& engine, const ConvolutionOperands& o, const dnnl::primitive_attr& attr,
    const dnnl::convolution_forward::primitive_desc& forward) {
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return {engine, kDirect, o.x, o.w, o.y, o.strides, o.padding, o.padding, forward, attr};
#else
  return {{kDirect, o.x, o.w, o.y, o.strides, o.padding, o.padding}, attr, engine, forward};
#endif
}

class Step {
 public:
  Step() = default;
  explicit Step(dnnl::primitive primitive) : primitive_(std::move(primitive)) {}

  explicit operator bool() const { return primitive_.get(true) != nullptr; }

  // argument: DNNL_ARG_SRC and its like.
  void add(const dnnl::engine& engine, int argument, const Descriptor& descriptor) {
    memories_.push_back(dnnl::memory(descriptor, engine, DNNL_MEMORY_NONE));
    arguments_.push_back({argument, memories_.back().get()});
  }
  void bind(int argument, void* address) {
    for (size_t i = 0; i < arguments_.size(); ++i)
      if (arguments_[i].arg == argument) memories_[i].set_data_handle(address);
  }
  // Through the C interface: the C++ one takes a map and builds an array at each call.
  void run(const dnnl::stream& stream) {
    dnnl::error::wrap_c_api(
        dnnl_primitive_execute(primitive_.get(), stream.get(), static_cast<int>(arguments_.size()),
                               arguments_.data()),
        "could not run a primitive");
  }

 private:
  dnnl::primitive primitive_;
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

}  // namespace ab::host
