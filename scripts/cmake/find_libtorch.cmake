# find_libtorch(): decides whether the module for LibTorch is built, and imports the libraries.
#
#   -DMLC_TORCH=AUTO|ON|OFF   AUTO (default): on where a LibTorch is found; ON: an error where not
#   -DMLC_TORCH_ROOT=DIR      any LibTorch, CUDA builds too: the folder with include/ and lib/; by
#                             default the torch wheel in .deps/venv
#
# Sets MLC_HAVE_TORCH and MLC_LIBTORCH_DIR in the caller. Targets: mlc_libtorch. find_package(Torch) is not used: with a
# CUDA build it stops where there is no CUDA toolkit, which running models does not need.
set(MLC_TORCH AUTO CACHE STRING "build the LibTorch module: AUTO, ON or OFF")
set_property(CACHE MLC_TORCH PROPERTY STRINGS AUTO ON OFF)
set(MLC_TORCH_ROOT "" CACHE PATH "folder of a LibTorch, with include/ and lib/")

function(find_libtorch)
  set(MLC_HAVE_TORCH OFF PARENT_SCOPE)
  if(NOT MLC_TORCH STREQUAL "AUTO" AND NOT MLC_TORCH)
    message(STATUS "LibTorch: off; run and other verbs that need it will say so")
    return()
  endif()
  set(root ${MLC_TORCH_ROOT})
  if(NOT root)
    file(GLOB wheels ${CMAKE_SOURCE_DIR}/.deps/venv/lib/python3*/site-packages/torch)
    list(FILTER wheels EXCLUDE REGEX "/python3/")
    foreach(wheel ${wheels})
      set(root ${wheel})
    endforeach()
  endif()
  set(missing "")
  foreach(file include/torch/csrc/jit/api/module.h include/torch/csrc/api/include/torch/cuda.h
               lib/libtorch_cpu.so lib/libc10.so)
    if(NOT root OR NOT EXISTS ${root}/${file})
      list(APPEND missing ${file})
    endif()
  endforeach()
  if(missing)
    if(MLC_TORCH STREQUAL "AUTO" AND NOT MLC_TORCH_ROOT)
      message(STATUS "LibTorch: not found; scripts/quickstart fetches it, -DMLC_TORCH_ROOT=DIR names one")
      return()
    endif()
    message(FATAL_ERROR "LibTorch: '${root}' lacks ${missing}. scripts/bootstrap build fetches the pinned wheel; "
                        "-DMLC_TORCH_ROOT=DIR names another LibTorch, -DMLC_TORCH=OFF builds without")
  endif()
  add_library(mlc_libtorch INTERFACE)
  target_include_directories(mlc_libtorch SYSTEM INTERFACE ${root}/include ${root}/include/torch/csrc/api/include)
  target_link_libraries(mlc_libtorch INTERFACE ${root}/lib/libtorch_cpu.so ${root}/lib/libc10.so)
  # CUDA libraries are not linked but opened when a CUDA device is asked for.
  target_link_options(mlc_libtorch INTERFACE LINKER:-rpath-link,${root}/lib)
  message(STATUS "LibTorch: ${root}")
  set(MLC_HAVE_TORCH ON PARENT_SCOPE)
  set(MLC_LIBTORCH_DIR ${root}/lib PARENT_SCOPE)
endfunction()
