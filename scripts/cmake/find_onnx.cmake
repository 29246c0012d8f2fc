# find_onnx(): decides whether mlc writes ONNX models, and imports the libraries for it.
#
#   -DMLC_ONNX=AUTO|ON|OFF   AUTO (default): on where the libraries are found; ON: an error where not
#   -DMLC_ONNX_ROOT=DIR      folder with include/ and lib/, as scripts/bootstrap makes it; by default .deps/onnx
#
# Sets MLC_HAVE_ONNX and MLC_ONNX_VERSION in the caller. Targets: mlc_libonnx, static, with protobuf's lite runtime.
set(MLC_ONNX AUTO CACHE STRING "build the writer of ONNX models: AUTO, ON or OFF")
set_property(CACHE MLC_ONNX PROPERTY STRINGS AUTO ON OFF)
set(MLC_ONNX_ROOT "" CACHE PATH "folder of ONNX's libraries, with include/ and lib/")

function(find_onnx)
  set(MLC_HAVE_ONNX OFF PARENT_SCOPE)
  if(NOT MLC_ONNX STREQUAL "AUTO" AND NOT MLC_ONNX)
    message(STATUS "ONNX: off; export-onnx will say so")
    return()
  endif()
  set(root ${MLC_ONNX_ROOT})
  if(NOT root)
    set(root ${CMAKE_SOURCE_DIR}/.deps/onnx)
  endif()
  set(missing "")
  foreach(file VERSION_NUMBER include/onnx/checker.h include/onnx/onnx-ml.pb.h lib/libonnx.a lib/libonnx_proto.a)
    if(NOT EXISTS ${root}/${file})
      list(APPEND missing ${file})
    endif()
  endforeach()
  set(Protobuf_USE_STATIC_LIBS ON)
  find_package(Protobuf QUIET)
  if(NOT TARGET protobuf::libprotobuf-lite)
    list(APPEND missing libprotobuf-lite)
  endif()
  if(missing)
    if(MLC_ONNX STREQUAL "AUTO" AND NOT MLC_ONNX_ROOT)
      message(STATUS "ONNX: not found; scripts/quickstart builds it, -DMLC_ONNX_ROOT=DIR names one")
      return()
    endif()
    message(FATAL_ERROR "ONNX: '${root}' lacks ${missing}. scripts/bootstrap build makes it; "
                        "-DMLC_ONNX_ROOT=DIR names another folder, -DMLC_ONNX=OFF builds without")
  endif()
  add_library(mlc_libonnx INTERFACE)
  target_include_directories(mlc_libonnx SYSTEM INTERFACE ${root}/include)
  target_compile_definitions(mlc_libonnx INTERFACE ONNX_NAMESPACE=onnx ONNX_ML=1 ONNX_USE_LITE_PROTO=1)
  target_link_libraries(mlc_libonnx INTERFACE ${root}/lib/libonnx.a ${root}/lib/libonnx_proto.a
                                              protobuf::libprotobuf-lite)
  file(STRINGS ${root}/VERSION_NUMBER version LIMIT_COUNT 1)
  message(STATUS "ONNX: ${version}, ${root}")
  set(MLC_ONNX_VERSION ${version} PARENT_SCOPE)
  set(MLC_HAVE_ONNX ON PARENT_SCOPE)
endfunction()
