# Finds cuda.h and nvrtc.h: CUDA_HOME, the usual toolkit places, or .deps/ where tools/setup puts NVIDIA's PyPI packages.
file(GLOB sprue_pip_cuda_includes ${PROJECT_SOURCE_DIR}/.deps/cuda/nvidia/*/include)
find_path(CUDA_H_DIR cuda.h
  HINTS $ENV{CUDA_HOME}/include $ENV{CUDA_PATH}/include /usr/local/cuda/include ${sprue_pip_cuda_includes}
  PATH_SUFFIXES include)
find_path(NVRTC_H_DIR nvrtc.h
  HINTS ${CUDA_H_DIR} $ENV{CUDA_HOME}/include $ENV{CUDA_PATH}/include /usr/local/cuda/include ${sprue_pip_cuda_includes})
if(NOT CUDA_H_DIR OR NOT NVRTC_H_DIR)
  message(FATAL_ERROR "cuda.h and nvrtc.h are needed to build Sprue: install the CUDA toolkit, set CUDA_HOME, or run tools/setup")
endif()
set(CUDA_INCLUDE_DIRS ${CUDA_H_DIR} ${NVRTC_H_DIR})
list(REMOVE_DUPLICATES CUDA_INCLUDE_DIRS)
