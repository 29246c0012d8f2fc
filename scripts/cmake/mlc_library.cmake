# mlc_warnings(TARGET): the warnings that all code of this project is held to.
function(mlc_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)  # GCC bug 105651: false for "a" + string
  endif()
endfunction()

# mlc_precompile(TARGET [header ...]): a quarter of what a file takes goes into reading headers that most
# files read. Of a precompiled one ccache would keep nothing, so that it is for builds without it. GCC 12
# then warns of sizes in std::string that cannot be, as in its bug 105651; with ccache it is asked for these.
function(mlc_precompile target)
  if(NOT CCACHE)
    target_precompile_headers(${target} PRIVATE <algorithm> <array> <functional> <map> <memory> <optional> <ostream> <set>
      <span> <string> <string_view> <unordered_map> <variant> <vector> "${CMAKE_SOURCE_DIR}/lib/mlc/base/result.h" ${ARGN})
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      target_compile_options(${target} PRIVATE -Wno-stringop-overflow -Wno-stringop-overread -Wno-array-bounds)
    endif()
  endif()
endfunction()

# mlc_library(NAME SOURCES a.cpp ... DEPS mlc_base ... LIBS fmt::fmt ...)
# One folder under lib/mlc, one static library: mlc_NAME, warnings as errors, includes from lib/.
function(mlc_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_library(mlc_${name} STATIC ${ARG_SOURCES})
  target_include_directories(mlc_${name} PUBLIC ${CMAKE_SOURCE_DIR}/lib)
  target_link_libraries(mlc_${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_LIBS})
  mlc_precompile(mlc_${name})
  mlc_warnings(mlc_${name})
endfunction()

# mlc_unit_test(FOLDER SOURCES a_test.cpp ... DEPS mlc_... LIBS ...): one Catch2 program per folder of lib/mlc.
function(mlc_unit_test folder)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_executable(test_${folder} ${ARG_SOURCES})
  target_include_directories(test_${folder} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit)
  target_link_libraries(test_${folder} PRIVATE mlc_catch_main ${ARG_DEPS} ${ARG_LIBS})
  target_compile_definitions(test_${folder} PRIVATE MLC_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_compile_options(test_${folder} PRIVATE $<$<CONFIG:Release>:-O1>)  # compiles in two thirds of the time
  mlc_precompile(test_${folder} "${CMAKE_SOURCE_DIR}/tests/unit/catch.h")
  mlc_warnings(test_${folder})
  add_test(NAME unit_${folder} COMMAND test_${folder})
endfunction()
