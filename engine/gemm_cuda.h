// Matrix products on CUDA.
#pragma once
#include <cublasLt.h>

#include <array>
#include <map>

#include "engine/device.h"
#include "engine/gemm.h"
#include "engine/handles_cuda.h"

namespace ab {

class CudaGemm : public Gemm {
 public:
  explicit CudaGemm(Device& device);

  void multiply(Stream stream, Arena& arena, const GemmArguments& arguments) override;

 private:
  static constexpr size_t kWords = 19;
  using Key = std::array<int64_t, kWords>;
  using Descriptor = cuda::Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
  using Layout = cuda::Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
  // Everything of a product but its addresses.
  struct Plan {
    Descriptor descriptor;
    Layout a, b, c;
    cublasLtMatmulAlgo_t algorithm{};
    size_t workspace = 0;
  };
  // One strided batch: what a single call to cuBLASLt computes.
  struct Batch {
    GemmArguments g;
    int64_t count = 1, a_stride = 0, b_stride = 0, c_stride = 0;
  };

  void run(Stream stream, Arena& arena, Batch batch);
  Plan& plan(const Batch& batch);
  Plan make_plan(const Batch& batch) const;
  void choose_algorithm(Plan& plan, const Batch& batch) const;

  Device& device_;
  cuda::Handle<cublasLtHandle_t, cublasLtDestroy> library_;
  std::map<Key, Plan> plans_;
};

}  // namespace ab
