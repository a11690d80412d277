# Finds XRT, AMD's runtime for its NPUs, and says what of it is there. Gives the target `xrt_runtime` where it
# was found, and by trial compilations HARNESS_XRT_CONTEXT: whether it has hardware contexts,
# HARNESS_XRT_RUN_LIST: whether it has lists of runs, and HARNESS_XRT_EMULATION: which file of
# npu_impl/xrt_emulation joins the NPU of the tests to it, or nothing.
#
# XRT since 2.19 has a CMake package. What Debian 12 ships (2.13) has none, and its pkg-config file names
# folders that do not exist: headers and library are looked for. libxrt_core, the driver's side, is never
# linked: libxrt_coreutil loads it when a device is opened, and two of them in one process exclude each other.
set(NPU_XRT AUTO CACHE STRING "Build the device xrt: ON, OFF, or AUTO: where XRT is found")
set_property(CACHE NPU_XRT PROPERTY STRINGS AUTO ON OFF)
set(HARNESS_XRT_CONTEXT FALSE)
set(HARNESS_XRT_RUN_LIST FALSE)
set(HARNESS_XRT_EMULATION "")
if(NPU_XRT STREQUAL "OFF")
    message(STATUS "XRT: not asked for (NPU_XRT=OFF); device xrt says so when opened")
    return()
endif()

find_package(XRT QUIET CONFIG PATHS /opt/xilinx/xrt/share/cmake/XRT)
if(TARGET XRT::xrt_coreutil)
    set(xrt_place "CMake package ${XRT_DIR}, version ${XRT_VERSION}")
    # IMPORTED, so that the trial compilations see its include folders.
    add_library(xrt_runtime INTERFACE IMPORTED)
    target_link_libraries(xrt_runtime INTERFACE XRT::xrt_coreutil)
else()
    find_path(XRT_INCLUDE_DIR NAMES xrt/xrt_kernel.h PATHS /opt/xilinx/xrt/include PATH_SUFFIXES xrt)
    find_library(XRT_COREUTIL_LIBRARY NAMES xrt_coreutil PATHS /opt/xilinx/xrt/lib)
    find_library(XRT_UUID_LIBRARY NAMES uuid)
    if(XRT_INCLUDE_DIR AND XRT_COREUTIL_LIBRARY AND XRT_UUID_LIBRARY)
        set(xrt_place "${XRT_INCLUDE_DIR}, ${XRT_COREUTIL_LIBRARY}")
        add_library(xrt_runtime INTERFACE IMPORTED)
        target_include_directories(xrt_runtime SYSTEM INTERFACE "${XRT_INCLUDE_DIR}")
        target_link_libraries(xrt_runtime INTERFACE "${XRT_COREUTIL_LIBRARY}" "${XRT_UUID_LIBRARY}")
    endif()
endif()
if(NOT TARGET xrt_runtime)
    set(xrt_absent "XRT: not found (libxrt-dev and uuid-dev, or /opt/xilinx/xrt)")
    if(NPU_XRT STREQUAL "ON")
        message(FATAL_ERROR "${xrt_absent}; NPU_XRT=ON needs it")
    endif()
    message(STATUS "${xrt_absent}; device xrt says so when opened")
    return()
endif()

include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_LIBRARIES xrt_runtime)
check_cxx_source_compiles("
#include <xrt/xrt_device.h>
#include <xrt/xrt_hw_context.h>
#include <xrt/xrt_kernel.h>
int main() {
    xrt::device device;
    xrt::xclbin xclbin;
    xrt::hw_context context(device, device.register_xclbin(xclbin));
    xrt::run run(xrt::kernel(context, std::string()));
}" HARNESS_XRT_HAS_CONTEXT)
check_cxx_source_compiles("
#include <xrt/xrt_hw_context.h>
#include <xrt/experimental/xrt_kernel.h>
int main() {
    xrt::runlist list{xrt::hw_context()};
    list.add(xrt::run());
    list.execute();
    return list.wait(std::chrono::milliseconds(1)) == std::cv_status::timeout ? int(list.state()) : 0;
}" HARNESS_XRT_HAS_RUN_LIST)
# The versions whose inside npu_impl/xrt_emulation knows.
check_cxx_source_compiles("
#include <version.h>
#if XRT_VERSION_CODE != XRT_VERSION(2, 13)
#error another version
#endif
int main() {}" HARNESS_XRT_LOAD_FLOW_KNOWN)
check_cxx_source_compiles("
#include <xrt/detail/version-slim.h>
#if XRT_VERSION_CODE != XRT_VERSION(2, 25)
#error another version
#endif
int main() {}" HARNESS_XRT_CONTEXT_FLOW_KNOWN)
unset(CMAKE_REQUIRED_LIBRARIES)
set(HARNESS_XRT_CONTEXT ${HARNESS_XRT_HAS_CONTEXT})
set(HARNESS_XRT_RUN_LIST ${HARNESS_XRT_HAS_RUN_LIST})
if(HARNESS_XRT_LOAD_FLOW_KNOWN)
    set(HARNESS_XRT_EMULATION load_flow_system.cpp)
elseif(HARNESS_XRT_CONTEXT_FLOW_KNOWN)
    set(HARNESS_XRT_EMULATION context_flow_system.cpp)
endif()
if(HARNESS_XRT_CONTEXT)
    set(xrt_flow "hardware contexts")
    if(HARNESS_XRT_RUN_LIST)
        string(APPEND xrt_flow ", run lists")
    else()
        string(APPEND xrt_flow ", no run lists")
    endif()
else()
    set(xrt_flow "load_xclbin, no hardware contexts: too old for an NPU's driver")
endif()
message(STATUS "XRT: ${xrt_place}; ${xrt_flow}")
