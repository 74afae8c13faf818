// Convolutions on the host.
#pragma once
#include <unordered_map>

#include "engine/convolution.h"
#include "engine/device.h"
#include "engine/onednn.h"

namespace ab {

class HostConvolution : public Convolution {
 public:
  // dry: everything but the arithmetic (plans, scratch memory, counts).
  HostConvolution(Device& device, bool dry);

  void forward(Stream stream, Arena& arena, const ConvolutionShape& shape, DType dtype, DevicePtr x,
               DevicePtr w, DevicePtr bias, bool relu, DevicePtr y) override;
  void backward_data(Stream stream, Arena& arena, const ConvolutionShape& shape, DType dtype,
                     DevicePtr dy, DevicePtr w, DevicePtr dx) override;
  void backward_filter(Stream stream, Arena& arena, const ConvolutionShape& shape, DType dtype,
                       DevicePtr x, DevicePtr dy, DevicePtr dw) override;

 private:
  enum class Pass : uint8_t { kForward, kData, kFilter };
  // One tensor of a plan: handed over as it is, or through a reorder into memory of the arena.
  struct Operand {
    int argument = 0;
    host::Step reorder;  // empty: the primitive takes the plain layout
    size_t bytes = 0;    // of the reordered copy
    bool result = false;
  };
  struct Plan {
    host::Step step;
    size_t scratch = 0;
    std::array<Operand, 3> operands;  // in the order of the call's arguments; the result is last
    bool has_bias = false;
    size_t turned_bytes = 0;  // of the filter with its taps in reverse order, where that is wanted
  };
  struct Request {
    const ConvolutionShape& shape;
    DType dtype;
    Pass pass;
    bool bias = false, relu = false;
  };
  static constexpr size_t kWords = 14;

  static bool covers_map(const ConvolutionShape& shape);
  bool data_is_forward(const ConvolutionShape& shape) const;
  bool filter_is_product(const ConvolutionShape& shape, DType dtype) const;
  bool filter_is_gathered(const ConvolutionShape& shape) const;
  bool is_winograd(const ConvolutionShape& shape, DType dtype, Pass pass) const;
  bool prefers_blocked(const Request& request) const;
  static std::string text_of(const Request& request);
  Plan& plan(const Request& request);
  Plan make_plan(const Request& request) const;
  Plan make_direct_plan(const Request& request) const;
  Plan make_data_as_forward_plan(const Request& request) const;
  Plan make_dense_plan(const Request& request) const;
  void adopt(Plan& plan, size_t index, int argument, const host::Descriptor& plain,
             const host::Descriptor& wanted, bool result) const;
  void finish(Plan& plan, const host::Descriptor& scratch) const;
  void run(Stream stream, Arena& arena, const Request& request,
           const std::array<DevicePtr, 3>& addresses, DevicePtr bias);
  void run_widened(Stream stream, Arena& arena, const Request& request,
                   const std::array<DevicePtr, 3>& addresses, DevicePtr bias);

  void run_winograd(Arena& arena, const Request& request, const std::array<DevicePtr, 3>& addresses,
                    DevicePtr bias);

  Device& device_;
  const bool dry_;
  const bool avx512_;  // of the CPU: without it oneDNN has no bf16 (onednn.h)
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::unordered_map<host::Key<kWords>, Plan, host::KeyHash<kWords>> plans_;
};

}  // namespace ab
