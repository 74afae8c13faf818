// One convolution as a finished cuDNN graph, for one shape, type and pass.
#pragma once
#include <cudnn.h>

#include <array>
#include <memory>
#include <string>

#include "engine/convolution.h"
#include "engine/error.h"

namespace ab::cuda {

// Throws DeviceError with the call and cuDNN's words for the error.
void check_cudnn(cudnnStatus_t status, const char* call);
#define AB_CUDNN(call) ::ab::cuda::check_cudnn(call, #call)

enum class Pass : uint8_t { kForward, kData, kFilter };

struct ConvolutionRequest {
  ConvolutionShape shape;
  DType dtype = DType::kFloat32;
  Pass pass = Pass::kForward;
  bool bias = false, relu = false;  // after a forward pass
  bool tf32 = false;

  // A graph of the convolution alone leaves something to our own kernels.
  bool has_more() const {
    return bias || relu || (pass == Pass::kFilter && dtype == DType::kBFloat16);
  }
};
// "convolution forward bf16 with bias, batch 8, ..."
std::string text_of(const ConvolutionRequest& request);

// Thrown for a combination that cuDNN does not run; another way may exist.
struct Refused : DeviceError {
  using DeviceError::DeviceError;
};

class ConvolutionGraph {
 public:
  // Addresses of x, w, y and bias, or of their gradients where the pass has them.
  using Operands = std::array<DevicePtr, 4>;

  // whole: bias and ReLU fused, dw in fp32; else the convolution alone, dw in the request's type.
  ConvolutionGraph(cudnnHandle_t library, const ConvolutionRequest& request, bool whole);
  ~ConvolutionGraph();

  bool whole() const { return whole_; }
  size_t workspace() const { return workspace_; }  // bytes
  void run(cudnnHandle_t library, const Operands& operands, void* workspace) const;

 private:
  struct Graph;  // cuDNN's C++ types stay in the .cpp
  void describe(const ConvolutionRequest& request);
  void choose_plan(cudnnHandle_t library, const ConvolutionRequest& request);

  std::unique_ptr<Graph> graph_;
  bool whole_;
  size_t workspace_ = 0;
};

}  // namespace ab::cuda
