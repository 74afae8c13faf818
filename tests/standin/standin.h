// Strict stand-ins for the vendors' libraries: what the cuda files call, carried out on this
// machine and held to what the vendors' documentation demands.
//   runtime.cpp, memory.cpp, streams.cpp,
//   events.cpp, capture.cpp                CUDA runtime        blas*.cpp     cuBLASLt
//   kernel.cpp                             block kernels       solver*.cpp   cuSOLVER
//   collectives*.cpp                       NCCL                dnn*.cpp      cuDNN's backend
// Everything runs at once on the calling thread, which is one legal order; whether another order
// would have been legal too, and wrong, is told by happens-before clocks (streams.h). A broken rule
// returns the vendor's error and is kept as a fault; a process that ends with faults that no test
// took exits with kFaultExit.
#pragma once
#include <string>
#include <vector>

namespace ab::standin {

constexpr int kFaultExit = 70;

// Keeps a fault for take_faults() and returns its text; prints it when STANDIN_VERBOSE is set.
std::string report(const std::string& text);
// All faults since the last call, oldest first.
std::vector<std::string> take_faults();
// The calling thread's latest fault; the vendors' error texts end with it.
const std::string& last_fault();

// The next call of that vendor function does nothing and returns `code`; of cuSOLVER's drivers, it
// says so in its info; -1: cudaStreamWaitEvent does nothing and says that it went well.
void fail_next(const std::string& function, int code);
// How often a vendor function that can be made to fail was called.
int calls_of(const std::string& function);
// What cuDNN's engine with a workspace asks for from now on, beside its filter; 0: as always.
void set_engine_workspace(size_t bytes);

// How long a collective, an initialisation or a split waits for the other ranks.
void set_collective_timeout(double seconds);
// How long a collective keeps its stream busy, by the streams' own time (streams.h).
void set_collective_seconds(double seconds);
// Bytes of each device from now on; what is allocated stays.
void set_device_memory(size_t bytes);
// GPUs that the machine claims to have; 0: the runtime says that there is none.
void set_device_count(int count);

}  // namespace ab::standin
