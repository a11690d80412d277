# How every target is compiled, and the two verbs of the folder lists: harness_library and harness_tests.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release)
endif()

option(HARNESS_WERROR "Treat warnings as errors" OFF)
option(HARNESS_UNITY "Compile most libraries sixteen sources at a time: for whole builds" ON)
set(HARNESS_SANITIZE "" CACHE STRING "Sanitizers: address (and undefined), thread, or none (empty)")
set_property(CACHE HARNESS_SANITIZE PROPERTY STRINGS "" address thread)
option(HARNESS_FUZZERS "Build the fuzz targets, and everything they link with coverage (clang only)" OFF)
if(HARNESS_FUZZERS AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "HARNESS_FUZZERS needs clang, whose libFuzzer it builds with; ci/fuzz.sh chooses it")
endif()

add_library(harness_compiler INTERFACE)
# No contraction and no fast-math: generator, oracle, golden and device arithmetic must not depend on the
# compiler.
target_compile_options(harness_compiler INTERFACE -ffp-contract=off -fno-fast-math)
target_compile_options(harness_compiler INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Wdouble-promotion -Wvla
    $<$<BOOL:${HARNESS_WERROR}>:-Werror>)
# GCC first collects its garbage at a gibibyte instead of 128 MiB, which sixteen sources pass again and again:
# an eighth of the time for a quarter more memory.
target_compile_options(harness_compiler INTERFACE
    "$<$<CXX_COMPILER_ID:GNU>:SHELL:--param ggc-min-heapsize=1048576>")
target_include_directories(harness_compiler INTERFACE "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
if(HARNESS_SANITIZE STREQUAL "address")
    set(sanitizers -fsanitize=address,undefined)
elseif(HARNESS_SANITIZE STREQUAL "thread")
    set(sanitizers -fsanitize=thread)
elseif(HARNESS_SANITIZE)
    message(FATAL_ERROR "HARNESS_SANITIZE is ${HARNESS_SANITIZE}: it must be address, thread or empty")
endif()
if(HARNESS_SANITIZE)
    target_compile_options(harness_compiler INTERFACE
        ${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer
        # GCC 12 takes parts of std::regex for uninitialized when they are instrumented (GCC bug 105562).
        $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_link_options(harness_compiler INTERFACE ${sanitizers})
endif()
if(HARNESS_FUZZERS)
    target_compile_options(harness_compiler INTERFACE -fsanitize=fuzzer-no-link)
endif()

# harness_library(<folder> SOURCES ... [DEPENDS ...]): one static library per folder.
function(harness_library name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC harness_compiler ${arg_DEPENDS})
    # Tests link parts of it into shared libraries too; nobody replaces its functions there.
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_compile_options(${name} PRIVATE -fno-semantic-interposition)
endfunction()

# harness_unity(<target> [ALONE <source>...]): several of its sources at once: a quarter of the time,
# for most of it goes into what their headers instantiate. Names in their unnamed namespaces meet then. ALONE:
# by themselves, such as what Highway compiles for each target by including it anew.
function(harness_unity target)
    cmake_parse_arguments(arg "" "" "ALONE" ${ARGN})
    set_source_files_properties(${arg_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    if(HARNESS_UNITY)
        set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
        target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
    endif()
endfunction()

# harness_tests(<library> SOURCES ... [DEPENDS ...]): the tests beside the code, one executable per folder.
function(harness_tests library)
    if(NOT BUILD_TESTING)
        return()
    endif()
    cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
    cmake_path(GET CMAKE_CURRENT_SOURCE_DIR FILENAME name)
    add_executable(${name}_tests ${arg_SOURCES})
    target_link_libraries(${name}_tests PRIVATE ${library} ${arg_DEPENDS} GTest::gmock GTest::gtest_main)
    # What is tested is compiled as users have it; the tests themselves in half the time.
    target_compile_options(${name}_tests PRIVATE -O1)
    target_precompile_headers(${name}_tests PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
    gtest_discover_tests(${name}_tests TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 120
        NO_PRETTY_VALUES PROPERTIES TIMEOUT 600)
endfunction()
