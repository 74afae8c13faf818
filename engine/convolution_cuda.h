// Convolutions on CUDA.
#pragma once
#include <cudnn.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/convolution_cuda_graph.h"
#include "engine/device.h"
#include "engine/handles_cuda.h"

namespace ab {

class CudaConvolution : public Convolution {
 public:
  explicit CudaConvolution(Device& device);

  void forward(Stream stream, Arena& arena, const ConvolutionShape& shape, DType dtype, DevicePtr x,
               DevicePtr w, DevicePtr bias, bool relu, DevicePtr y) override;
  void backward_data(Stream stream, Arena& arena, const ConvolutionShape& shape, DType dtype,
                     DevicePtr dy, DevicePtr w, DevicePtr dx) override;
  void backward_filter(Stream stream, Arena& arena, const ConvolutionShape& shape, DType dtype,
                       DevicePtr x, DevicePtr dy, DevicePtr dw) override;
  std::vector<std::string> notes() const override { return notes_; }

 private:
  using Key = std::array<int64_t, 14>;

  const cuda::ConvolutionGraph& plan(const cuda::ConvolutionRequest& request);
  std::unique_ptr<cuda::ConvolutionGraph> make_plan(const cuda::ConvolutionRequest& request);
  void run(Stream stream, Arena& arena, const cuda::ConvolutionGraph& plan,
           const cuda::ConvolutionGraph::Operands& operands);

  Device& device_;
  cuda::Handle<cudnnHandle_t, cudnnDestroy> library_;  // made for the first plan
  std::map<Key, std::unique_ptr<cuda::ConvolutionGraph>> plans_;
  std::vector<std::string> notes_;
};

}  // namespace ab
