// The include folder that a kernel is compiled against, as the build found it in kernels/host and
// kernels/aie2:
// an installed harness needs no source tree.
#pragma once

#include <span>
#include <string_view>

namespace harness::kernel_gate {

struct EmbeddedFile {
    std::string_view path;  // below the include folder, e.g. "aie_api/aie.hpp"
    std::string_view text;
};

// Headers, and module.cc, which every module is linked with.
std::span<const EmbeddedFile> embedded_files();

}  // namespace harness::kernel_gate
