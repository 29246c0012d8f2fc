# find_onnxruntime(): decides whether the module for ONNX Runtime is built.
#
#   -DMLC_ORT=AUTO|ON|OFF       AUTO (default): on where the header is found; ON: an error where not
#   -DMLC_ORT_INCLUDE=DIR       folder of onnxruntime_c_api.h; by default .deps/onnxruntime/include, then the system's
#
# The header suffices: the library is looked for at run time (lib/mlc/engine/onnxruntime_library.h), the wheel in
# .deps/venv among other places. Sets MLC_HAVE_ORT, MLC_ORT_INCLUDE_DIR and MLC_ONNXRUNTIME_DIR in the caller.
set(MLC_ORT AUTO CACHE STRING "build the ONNX Runtime module: AUTO, ON or OFF")
set_property(CACHE MLC_ORT PROPERTY STRINGS AUTO ON OFF)
set(MLC_ORT_INCLUDE "" CACHE PATH "folder of onnxruntime_c_api.h")

function(find_onnxruntime)
  set(MLC_HAVE_ORT OFF PARENT_SCOPE)
  set(MLC_ONNXRUNTIME_DIR "" PARENT_SCOPE)
  file(GLOB wheels ${CMAKE_SOURCE_DIR}/.deps/venv/lib/python3*/site-packages/onnxruntime/capi)
  list(FILTER wheels EXCLUDE REGEX "/python3/")
  foreach(wheel ${wheels})
    set(MLC_ONNXRUNTIME_DIR ${wheel} PARENT_SCOPE)
  endforeach()
  if(NOT MLC_ORT STREQUAL "AUTO" AND NOT MLC_ORT)
    message(STATUS "ONNX Runtime: off; verbs say so when they are given an .onnx file")
    return()
  endif()
  set(folders ${MLC_ORT_INCLUDE})
  if(NOT folders)
    set(folders ${CMAKE_SOURCE_DIR}/.deps/onnxruntime/include /usr/include/onnxruntime /usr/local/include/onnxruntime
                /usr/local/include)
  endif()
  foreach(folder ${folders})
    if(EXISTS ${folder}/onnxruntime_c_api.h)
      message(STATUS "ONNX Runtime: header in ${folder}")
      set(MLC_HAVE_ORT ON PARENT_SCOPE)
      set(MLC_ORT_INCLUDE_DIR ${folder} PARENT_SCOPE)
      return()
    endif()
  endforeach()
  if(MLC_ORT STREQUAL "AUTO" AND NOT MLC_ORT_INCLUDE)
    message(STATUS "ONNX Runtime: no header; scripts/quickstart fetches it, -DMLC_ORT_INCLUDE=DIR names one")
    return()
  endif()
  message(FATAL_ERROR "ONNX Runtime: onnxruntime_c_api.h is not in ${folders}. scripts/bootstrap build fetches it; "
                      "-DMLC_ORT_INCLUDE=DIR names another folder, -DMLC_ORT=OFF builds without")
endfunction()
