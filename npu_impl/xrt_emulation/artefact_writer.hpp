// Artefacts for an emulated NPU: for each program an xclbin and an instruction file in a folder, with the
// list that `read_artefacts` reads. Of tests only.
#pragma once

#include <span>
#include <string>

#include "npu_impl/launch_program.hpp"

namespace npu_impl::xrt_emulation {

// One artefact per different program among the launches, one xclbin per different kernel. Adds to the list
// that the folder has, programs that it serves already aside. The folder must exist.
void write_artefacts_for(const std::string& folder, std::span<const Launch> launches);

}  // namespace npu_impl::xrt_emulation
