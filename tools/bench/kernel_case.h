// One row of the operation case table: a kernel, its buffers, its float64 reference and what it
// moves. The tests run every row on every device present (reference, two runs bit-equal, any number
// of threads bit-equal, backward rows against central differences of a forward reference);
// bench_kernels times the rows whose `benchmark` is set. Adding an operation adds rows, not test
// code.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/stream.h"

namespace ab {

// How an input is filled, from a fixed seed. kHard: mean 1000, variance 1, where a one-pass
// variance fails. kIndices: integers in [0, high).
enum class Fill : uint8_t { kZero, kNormal, kUniform, kHard, kIndices };

struct CaseBuffer {
  std::string name;
  int64_t elements = 0;
  DType dtype = DType::kFloat32;
  Fill fill = Fill::kNormal;
  int64_t high = 0;       // kIndices
  bool output = false;    // compared with the reference (a buffer may be input and output)
  int64_t reduction = 1;  // how many terms one output element sums: widens the tolerance
};

// All buffers of a row as double, in the row's order; the reference overwrites the outputs.
using CaseValues = std::vector<std::vector<double>>;

struct KernelCase {
  std::string kernel;  // "layer_norm_forward"
  std::string shape;   // "(1576, 768)"
  DType dtype = DType::kFloat32;
  std::vector<CaseBuffer> buffers;
  std::function<void(Stream, std::span<const DevicePtr>)> run;
  std::function<void(CaseValues&)> reference;  // plain loops in double
  // Backward rows: L = sum(dy * y) as a function of the inputs in double, and which output holds
  // the gradient for which input: (output index, input index). Checked by central differences.
  std::function<double(const CaseValues&)> loss;
  std::vector<std::pair<int, int>> gradients;
  double bytes = 0.0,
         flops = 0.0;      // least traffic: every input read once, every output written once
  bool benchmark = false;  // large enough to time
  // Inputs that follow from other inputs (saved statistics), in double, after the fill; may be
  // empty.
  std::function<void(CaseValues&)> prepare;
};

// Largest error allowed for an element: from the storage type and the number of summed terms. The
// only place where tolerances of kernels come from.
double tolerance(DType dtype, int64_t reduction);

// Every row of every kernel; one function per kernel file adds its own (kernel_cases_<file>.cpp).
std::vector<KernelCase> kernel_cases();

}  // namespace ab
