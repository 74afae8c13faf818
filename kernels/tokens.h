// Reshaping between images and token sequences.
//   patches:         (N, H, W, C) -> (N, (H/p) (W/p), p p C), a patch in (row, column, channel)
//   order,
//                    so that filters (D, p, p, C) are a plain matrix. No backward: images want
//                    none.
//   assemble_tokens: y[n,0] = class + positions[0],  y[n,t+1] = x[n,t] + positions[t+1]
//   first_token:     y[n] = x[n,0]
// Activations in dtype, class token and positions and their gradients in fp32.
#pragma once
#include "kernels/stream.h"

namespace ab {

struct PatchShape {
  int64_t batch = 0, height = 0, width = 0, channels = 0, patch = 1;
};
void extract_patches(Stream stream, DType dtype, const PatchShape& shape, DevicePtr x, DevicePtr y);

struct TokenShape {
  int64_t batch = 0, tokens = 0, dim = 0;  // tokens of x, without the class token
};
void assemble_tokens_forward(Stream stream, DType dtype, const TokenShape& shape, DevicePtr x,
                             DevicePtr class_token, DevicePtr positions, DevicePtr y);

// Each result may be null. d = keep * d + sum over the batch, in the order of the samples.
struct TokenGradients {
  DevicePtr dy;          // (N, T + 1, D)
  DevicePtr dx;          // (N, T, D)
  DevicePtr dclass;      // fp32 (D)
  DevicePtr dpositions;  // fp32 (T + 1, D)
  float keep_class = 0.0f, keep_positions = 0.0f;
};
void assemble_tokens_backward(Stream stream, DType dtype, const TokenShape& shape,
                              const TokenGradients& args);

// Here shape.tokens counts all tokens of x (N, T, D); backward fills the others with zeros.
void first_token_forward(Stream stream, DType dtype, const TokenShape& shape, DevicePtr x,
                         DevicePtr y);
void first_token_backward(Stream stream, DType dtype, const TokenShape& shape, DevicePtr dy,
                          DevicePtr dx);

}  // namespace ab
