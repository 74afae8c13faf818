// Case rows of kernels/cast.h: fp32 to bf16 and back.
#include "kernels/cast.h"
#include "tools/bench/kernel_cases.h"

namespace ab {

void add_cast_cases(CaseList& cases) {
  for (const CaseShape& shape : kCaseShapes)
    for (const DType from : kActivationTypes)
      for (const DType to : kActivationTypes) {
        const int64_t n = shape.elements();
        KernelCase c;
        c.kernel = std::string("cast_from_") + name_of(from);
        c.shape = shape.text();
        c.dtype = to;
        c.buffers = {input("from", n, from, Fill::kHard), output("to", n, to)};
        c.run = [=](Stream s, CasePointers p) { cast(s, n, p[0], from, p[1], to); };
        c.reference = [](CaseValues& v) { v[1] = v[0]; };
        c.bytes = static_cast<double>(n) * (size_of(from) + size_of(to));
        c.benchmark = shape.benchmark && from != to;
        cases.push_back(c);
      }
}

}  // namespace ab
