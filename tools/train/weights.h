// Weights between a ParameterStore and a safetensors file, under timm's names and in PyTorch's
// layouts.
//   4-D weights: held (out, kh, kw, in), written (out, in, kh, kw); everything else as it is held.
//   Batch-norm statistics (running_mean, running_var) are written and wanted too.
//   A factored weight is written as "<name>.A" and "<name>.B", in the shapes the store holds: with
//   outer (out, k) and inner (k, in), out >= in: A = outer, B = inner; else A = inner, B = outer.
//   Always W = outer . inner; a convolution's inner columns are written in (in, kh, kw) order, so
//   that the product reshapes to PyTorch's (out, in, kh, kw).
// The metadata note the shape of each factored convolution under kShapeKey + its name, "64 64 3 3".
// Files hold fp32 (read: fp32 or bf16). The permutations are exact: a round trip changes no bit.
#pragma once
#include <string>
#include <vector>

#include "engine/parameter_store.h"
#include "tools/train/safetensors.h"

namespace ab {

inline constexpr const char* kShapeKey = "shape.";

// The shape under which a parameter or buffer of the store is written.
std::vector<int64_t> file_shape(const Parameter& parameter);

// `tensor` (parameter.value, parameter.gradient, or a moment: fp32, of the parameter's shape) on
// the host in the file's layout, and back. Both wait for the device.
void download(ParameterStore& store, const Parameter& parameter, const Tensor& tensor, float* to);
void upload(ParameterStore& store, const Parameter& parameter, const Tensor& tensor,
            const std::vector<float>& values);

// One source per present parameter and per buffer, named prefix + name, for a file that holds more
// than weights. The store must outlive the writing.
std::vector<SafetensorsSource> weight_sources(ParameterStore& store,
                                              const std::string& prefix = "");

// What a file of weights notes besides: `noted`, and the shapes under kShapeKey.
Metadata with_shapes(const ParameterStore& store, Metadata noted);

// Writes the weights alone.
void save_weights(ParameterStore& store, const std::string& path, const Metadata& metadata = {});

// Sets every present parameter and every buffer from the tensors named prefix + name and refreshes
// the compute copies. A missing, unexpected (under the prefix; num_batches_tracked is ignored) or
// ill-shaped tensor is a DataError that lists the first few of each kind; the store is then as it
// was.
void load_weights(ParameterStore& store, const SafetensorsFile& file,
                  const std::string& prefix = "");
void load_weights(ParameterStore& store, const std::string& path);

}  // namespace ab
