// What cuts a singular value decomposition: the lengths and signs of its columns, and picked rows
// or columns with a factor each.
//   squares_j = sum over i of x_ij^2, in double;  peaks_j = the x_ij of largest magnitude, the
//   first of equals.    rows: y_cj = s_c x_{p(c) j};    columns: y_ic = s_c x_{i p(c)}
// All matrices are dense row-major fp32. Bytes moved: the scan reads x once; a pick reads and
// writes what it keeps.
#pragma once
#include "kernels/stream.h"

namespace ab {

// x (rows, cols) fp32; squares (cols) fp64; peaks (cols) fp32. Rows are walked in order.
void scan_columns(Stream stream, int64_t rows, int64_t cols, DevicePtr x, DevicePtr squares,
                  DevicePtr peaks);

struct Pick {
  int64_t rows = 0, cols = 0;  // of y
  int64_t stride = 0;          // row length of x
  DevicePtr x, y;
  DevicePtr places;   // int32, which row or column of x
  DevicePtr factors;  // fp32, as many
};
void pick_rows(Stream stream, const Pick& arguments);
void pick_columns(Stream stream, const Pick& arguments);

}  // namespace ab
