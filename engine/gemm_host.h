// Matrix products on the host.
#pragma once
#include <unordered_map>

#include "engine/device.h"
#include "engine/gemm.h"
#include "engine/onednn.h"

namespace ab {

class HostGemm : public Gemm {
 public:
  // dry: everything but the arithmetic (plans, scratch memory, counts).
  HostGemm(Device& device, bool dry);

  void multiply(Stream stream, Arena& arena, const GemmArguments& arguments) override;

 private:
  static constexpr size_t kWords = 22;
  struct Plan {
    host::Step step;
    size_t scratch = 0;
  };

  Plan& plan(const GemmArguments& arguments);
  Plan make_plan(const GemmArguments& arguments) const;
  void run_plan(Arena& arena, const GemmArguments& arguments);
  void multiply_widened(Stream stream, Arena& arena, const GemmArguments& arguments);

  Device& device_;
  const bool dry_;
  const bool avx512_;  // of the CPU: without it oneDNN has no bf16 (onednn.h)
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::unordered_map<host::Key<kWords>, Plan, host::KeyHash<kWords>> plans_;
};

}  // namespace ab
