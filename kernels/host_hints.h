// What a kernel's source tells the host's compiler and caches; nothing on CUDA.
#pragma once
#include <atomic>
#include <utility>

#include "kernels/numbers.h"

namespace ab {

// Asks the host's memory for n values that are needed soon, where the processor does not foresee
// it: the next piece of a tile, or the next rows while these ones are being computed with.
template <class T>
AB_FN void fetch(const T* from, int64_t n) {
#if !defined(__CUDA_ARCH__)
  for (int64_t i = 0; i < n; i += 64 / static_cast<int64_t>(sizeof(T)))
    __builtin_prefetch(from + i);
#else
  (void)from, (void)n;
#endif
}

// Keeps the compiler from merging the passes of a host loop around loops. Blocks: the last ones of
// a thread would be summed in another order than the others. Rows: two at a time are two streams
// of memory, which is fetched ahead for one.
AB_FN void one_by_one() {
#if !defined(__CUDA_ARCH__)
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

// f(0), f(1), ... as constants: the compiler must not see a loop inside the vectorised one.
template <class F, int... kIndex>
AB_FN void unroll(F f, std::integer_sequence<int, kIndex...>) {
  (f(std::integral_constant<int, kIndex>{}), ...);
}

}  // namespace ab
