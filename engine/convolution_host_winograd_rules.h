// The transforms of convolution_host_winograd.h along one axis and along both, on vectors of
// channels.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ab::host {

#if defined(__AVX__)
using Lanes = float __attribute__((vector_size(32)));
#else
using Lanes = float __attribute__((vector_size(16)));
#endif
constexpr int64_t kLanes = sizeof(Lanes) / sizeof(float);

inline Lanes load(const float* from) {
  Lanes value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
inline void store(float* to, Lanes value) {
  std::memcpy(to, &value, sizeof value);
}

// A transform of every column of a tile (kIn, kAcross), to the rows of the result (kAcross, kOut).
template <size_t kOut, size_t kIn, size_t kAcross, class Rule>
std::array<Lanes, kAcross * kOut> columns_to_rows(const std::array<Lanes, kIn * kAcross>& tile,
                                                  Rule rule) {
  std::array<Lanes, kAcross * kOut> result;
  for (size_t c = 0; c < kAcross; ++c) {
    std::array<Lanes, kIn> column;
    for (size_t r = 0; r < kIn; ++r) column[r] = tile[r * kAcross + c];
    const std::array<Lanes, kOut> to = rule(column);
    for (size_t r = 0; r < kOut; ++r) result[c * kOut + r] = to[r];
  }
  return result;
}

// Along columns, then along rows: turned twice, the tile stands upright again.
template <size_t kOut, size_t kIn, class Rule>
std::array<Lanes, kOut * kOut> both_axes(const std::array<Lanes, kIn * kIn>& tile, Rule rule) {
  return columns_to_rows<kOut, kIn, kOut>(columns_to_rows<kOut, kIn, kIn>(tile, rule), rule);
}

// B^T, A^T, A, G and G^T of the header.
inline std::array<Lanes, 4> input_rule(const std::array<Lanes, 4>& d) {
  return {d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]};
}
inline std::array<Lanes, 2> output_rule(const std::array<Lanes, 4>& m) {
  return {m[0] + m[1] + m[2], m[1] - m[2] - m[3]};
}
inline std::array<Lanes, 4> output_gradient_rule(const std::array<Lanes, 2>& y) {
  return {y[0], y[0] + y[1], y[0] - y[1], -y[1]};
}
inline std::array<Lanes, 4> filter_rule(const std::array<Lanes, 3>& g) {
  const Lanes ends = 0.5f * (g[0] + g[2]), middle = 0.5f * g[1];
  return {g[0], ends + middle, ends - middle, g[2]};
}
inline std::array<Lanes, 3> filter_gradient_rule(const std::array<Lanes, 4>& u) {
  const Lanes sum = 0.5f * (u[1] + u[2]), difference = 0.5f * (u[1] - u[2]);
  return {u[0] + sum, difference, sum + u[3]};
}

}  // namespace ab::host
