// Makes the artefacts that a design needs for a layer, for an emulated NPU. Of tests only.
// What `harness doctor` runs is the design tile64, one head, a context of 64.
//   compile_artefacts FOLDER DESIGN HEADS CONTEXT...
#include <fmt/format.h>

#include <cstdlib>
#include <exception>

#include "npu_impl/launch_catalogue.hpp"
#include "npu_impl/xrt_emulation/artefact_writer.hpp"

int main(int argc, char** argv) {
    if (argc < 5) {
        fmt::print(stderr, "usage: compile_artefacts FOLDER DESIGN HEADS CONTEXT...\n");
        return 2;
    }
    try {
        const npu_impl::Design design = npu_impl::compose(argv[2]);
        for (int i = 4; i < argc; ++i) {
            const datasets::LayerShape shape{std::atoll(argv[i]), std::atoi(argv[3])};
            npu_impl::xrt_emulation::write_artefacts_for(
                argv[1], npu_impl::planned_launches(design, shape, npu_impl::device_ops));
        }
    } catch (const std::exception& error) {
        fmt::print(stderr, "compile_artefacts: {}\n", error.what());
        return 1;
    }
    return 0;
}
