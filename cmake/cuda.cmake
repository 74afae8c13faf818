# The CUDA device. Sets AB_WITH_CUDA and makes ab_cuda, the vendors' headers and libraries for the seams.
#   AB_CUDA     ON: fail where something is missing. AUTO: leave the device out and say why. OFF.
#   AB_STANDIN  link tests/standin instead of the vendors' libraries; .cu files stay C++, no nvcc.
set(AB_CUDA OFF CACHE STRING "The CUDA device: ON, OFF or AUTO")
option(AB_STANDIN "Build the CUDA device against host stand-ins of the vendors' libraries" OFF)
set(AB_WITH_CUDA OFF)
if(NOT AB_CUDA AND NOT AB_STANDIN)
  return()
endif()

# The toolkit of the nvcc that is found, unless the environment names one.
find_program(AB_NVCC nvcc HINTS $ENV{CUDACXX} $ENV{CUDA_HOME}/bin /usr/local/cuda/bin)
get_filename_component(AB_CUDA_ROOT "${AB_NVCC}/../.." REALPATH)
set(hints HINTS ${AB_CUDA_ROOT} PATH_SUFFIXES include lib lib64 targets/x86_64-linux/lib)
find_path(AB_CUDA_INCLUDE cublasLt.h ${hints})
find_path(AB_CUDNN_INCLUDE cudnn.h ${hints})
find_path(AB_NCCL_INCLUDE nccl.h ${hints})
set(wanted AB_CUDA_INCLUDE AB_CUDNN_INCLUDE AB_NCCL_INCLUDE)
if(NOT AB_STANDIN)
  foreach(library cudart cublasLt cudnn cusolver nccl nvrtc)  # nvrtc: cudnn-frontend refers to it
    find_library(AB_${library}_LIBRARY ${library} ${hints})
    list(APPEND wanted AB_${library}_LIBRARY)
    list(APPEND vendor_libraries ${AB_${library}_LIBRARY})
  endforeach()
  list(APPEND wanted AB_NVCC)
endif()

set(missing "")
foreach(item ${wanted})
  if(NOT ${item})
    list(APPEND missing ${item})
  endif()
endforeach()

# cuDNN's C++ headers: a system's copy, else the wheel's, fetched once into the build tree.
find_path(AB_CUDNN_FRONTEND_INCLUDE cudnn_frontend.h
          HINTS ${AB_CUDA_ROOT}/include ${CMAKE_BINARY_DIR}/cudnn_frontend/include)
if(NOT missing AND NOT AB_CUDNN_FRONTEND_INCLUDE)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/tools/fetch_cudnn_frontend.sh
                          ${CMAKE_BINARY_DIR}/cudnn_frontend OUTPUT_QUIET)
  find_path(AB_CUDNN_FRONTEND_INCLUDE cudnn_frontend.h
            HINTS ${CMAKE_BINARY_DIR}/cudnn_frontend/include)
  if(NOT AB_CUDNN_FRONTEND_INCLUDE)
    list(APPEND missing AB_CUDNN_FRONTEND_INCLUDE)
  endif()
endif()

if(missing AND AB_CUDA STREQUAL "AUTO")
  message(STATUS "No CUDA device in this build; not found: ${missing}")
  return()
elseif(missing)
  message(FATAL_ERROR "The CUDA device was asked for, but these were not found: ${missing}")
endif()

set(AB_WITH_CUDA ON)
if(NOT AB_STANDIN)
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 90-virtual)  # A100, H100, PTX for what comes after
  endif()
  set(CMAKE_CUDA_COMPILER ${AB_NVCC})
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake before 3.26 does not know that nvcc speaks it
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  endif()
endif()
add_library(ab_cuda INTERFACE)
target_include_directories(ab_cuda SYSTEM INTERFACE
  ${AB_CUDA_INCLUDE} ${AB_CUDNN_INCLUDE} ${AB_NCCL_INCLUDE} ${AB_CUDNN_FRONTEND_INCLUDE})
if(AB_STANDIN)
  target_link_libraries(ab_cuda INTERFACE ab_standin)
else()
  target_link_libraries(ab_cuda INTERFACE ${vendor_libraries})
endif()
message(STATUS "CUDA device: ${AB_CUDA_ROOT}, cudnn-frontend in ${AB_CUDNN_FRONTEND_INCLUDE}")
