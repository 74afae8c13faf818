// Functions that cuDNN's C++ headers name beside those that our graphs reach. They have to be there
// for the link; a call of one is a fault.
#include <cudnn.h>
#include <nvrtc.h>

#include "tests/standin/standin.h"

namespace {

// 1 is a failure in every one of the libraries.
template <class Status>
Status refuse(const char* function) {
  ab::standin::report(std::string(function) + " has no stand-in");
  return static_cast<Status>(1);
}

}  // namespace

#define AB_UNUSED(Status, function, ...) \
  Status function(__VA_ARGS__) {         \
    return refuse<Status>(#function);    \
  }

extern "C" {
AB_UNUSED(cudaError_t, cudaGraphRetainUserObject, cudaGraph_t, cudaUserObject_t, unsigned, unsigned)
AB_UNUSED(cudaError_t, cudaKernelSetAttributeForDevice, cudaKernel_t, cudaFuncAttribute, int, int)
AB_UNUSED(cudaError_t, cudaLaunchKernel, const void*, dim3, dim3, void**, size_t, cudaStream_t)
AB_UNUSED(cudaError_t, cudaLibraryGetKernel, cudaKernel_t*, cudaLibrary_t, const char*)
AB_UNUSED(cudaError_t, cudaLibraryLoadData, cudaLibrary_t*, const void*, cudaJitOption*, void**,
          unsigned, cudaLibraryOption*, void**, unsigned)
AB_UNUSED(cudaError_t, cudaLibraryUnload, cudaLibrary_t)
AB_UNUSED(cudaError_t, cudaPointerGetAttributes, cudaPointerAttributes*, const void*)
AB_UNUSED(cudaError_t, cudaThreadExchangeStreamCaptureMode, cudaStreamCaptureMode*)
AB_UNUSED(cudaError_t, cudaUserObjectCreate, cudaUserObject_t*, void*, cudaHostFn_t, unsigned,
          unsigned)
AB_UNUSED(cudaError_t, cudaUserObjectRelease, cudaUserObject_t, unsigned)
AB_UNUSED(cudnnStatus_t, cudnnCreateFilterDescriptor, cudnnFilterDescriptor_t*)
AB_UNUSED(cudnnStatus_t, cudnnDestroyFilterDescriptor, cudnnFilterDescriptor_t)
AB_UNUSED(cudnnStatus_t, cudnnReorderFilterAndBias, cudnnHandle_t, const cudnnFilterDescriptor_t,
          cudnnReorderType_t, const void*, void*, int, const void*, void*)
AB_UNUSED(cudnnStatus_t, cudnnSetFilterNdDescriptor, cudnnFilterDescriptor_t, cudnnDataType_t,
          cudnnTensorFormat_t, int, const int[])
AB_UNUSED(nvrtcResult, nvrtcCompileProgram, nvrtcProgram, int, const char* const*)
AB_UNUSED(nvrtcResult, nvrtcCreateProgram, nvrtcProgram*, const char*, const char*, int,
          const char* const*, const char* const*)
AB_UNUSED(nvrtcResult, nvrtcDestroyProgram, nvrtcProgram*)
AB_UNUSED(nvrtcResult, nvrtcGetCUBIN, nvrtcProgram, char*)
AB_UNUSED(nvrtcResult, nvrtcGetCUBINSize, nvrtcProgram, size_t*)
AB_UNUSED(nvrtcResult, nvrtcGetProgramLog, nvrtcProgram, char*)
AB_UNUSED(nvrtcResult, nvrtcGetProgramLogSize, nvrtcProgram, size_t*)
}
