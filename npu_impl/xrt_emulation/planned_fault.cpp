// What is wrong with the NPU of one driver library, decided when it is built.
#include "npu_impl/xrt_emulation/emulated_npu.hpp"

namespace npu_impl::xrt_emulation {
namespace {

struct PlannedFault {
    PlannedFault() {
#if defined(PLANNED_absent)
        EmulatedNpu::instance().remove();
#elif defined(PLANNED_never_ends)
        EmulatedNpu::instance().plan(Fault::never_ends, 3);
#elif defined(PLANNED_error)
        EmulatedNpu::instance().plan(Fault::error, 3);
#elif defined(PLANNED_nothing_written)
        EmulatedNpu::instance().plan(Fault::nothing_written, 3);
#endif
    }
};

const PlannedFault planned;

}  // namespace
}  // namespace npu_impl::xrt_emulation
