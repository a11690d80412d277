// XRT at work for one device: its NPU, the contexts of the xclbins on it, their kernels and instructions.
// With xrt_device.cpp and xrt_submission.* the home of XRT's headers.
#pragma once

#include <fmt/format.h>
#include <xrt/xrt_bo.h>
#include <xrt/xrt_device.h>
#include <xrt/xrt_kernel.h>
#ifdef HARNESS_XRT_CONTEXT
#include <xrt/xrt_hw_context.h>
#endif
#ifdef HARNESS_XRT_RUN_LIST
#include <xrt/experimental/xrt_kernel.h>
#endif
#if __has_include(<xrt/experimental/xrt_xclbin.h>)
#include <xrt/experimental/xrt_xclbin.h>
#else
#include <experimental/xrt_xclbin.h>
#endif

#include <cstdint>
#include <exception>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "npu_impl/artefacts.hpp"
#include "npu_impl/device.hpp"

namespace npu_impl {

// Launches of one submission. Of a list: the runs that XRT chains to one command of the driver (submit_size
// of its runlist_impl, core/common/api/xrt_kernel.cpp); a longer list would be several.
#ifdef HARNESS_XRT_RUN_LIST
inline constexpr std::size_t most_launches_at_once = 24;
#else
inline constexpr std::size_t most_launches_at_once = 1;
#endif

// On one line, without space at its end.
std::string one_line(std::string text);

// What XRT has warned of since the last call, on one line.
std::string take_warnings();

// Calls XRT; whatever it throws becomes a DeviceError that says what was asked, and what XRT warned of before
// it threw. XRT's exceptions have no common type below std::exception.
template <typename Call>
decltype(auto) asking_xrt(std::string_view what, Call call) {
    try {
        return call();
    } catch (const std::exception& error) {
        const std::string warnings = take_warnings();
        throw DeviceError(fmt::format("device xrt: {}: {}{}{}", what, one_line(error.what()),
                                      warnings.empty() ? "" : "; XRT warns: ", warnings));
    }
}

// An xclbin on the array: its kernels, and the instructions that came with it.
class XrtContext {
public:
    // Throws what XRT throws.
    XrtContext(xrt::device& device, const Artefact& artefact, std::span<const std::byte> xclbin);

    [[nodiscard]] const std::string& xclbin_sha256() const { return xclbin_sha256_; }
    xrt::kernel& kernel(const std::string& name);

    struct Instructions {
        xrt::bo words;
        std::uint32_t count = 0;
    };
    // Loaded to the device when first asked for.
    Instructions& instructions(const Artefact& artefact, const std::string& folder);

#ifdef HARNESS_XRT_RUN_LIST
    // An empty one, for runs of this context's kernels.
    [[nodiscard]] xrt::runlist new_list() const {
        return xrt::runlist(hardware_);
    }
#endif

private:
    // Members die in the reverse order: kernels before the context that they run in.
    xrt::device& device_;
    std::string xclbin_sha256_;
    xrt::xclbin xclbin_;
#ifdef HARNESS_XRT_CONTEXT
    xrt::hw_context hardware_;
#else
    xrt::uuid loaded_;
#endif
    std::map<std::string, xrt::kernel> kernels_;
    std::map<std::string, Instructions> instructions_;  // by artefact
};

class XrtSession {
public:
    // Opens NPU `index`. Throws DeviceError.
    XrtSession(unsigned index, std::string folder);

    [[nodiscard]] xrt::device& device() { return device_; }

    // As XRT tells; what it does not tell is empty or unknown. Throws DeviceError for warnings of before.
    [[nodiscard]] NpuIdentity identity() const;

    // Whether a context has to be closed before that of the artefact can be opened.
    [[nodiscard]] bool is_full_for(const Artefact& artefact) const;

    // The context of an artefact's xclbin, opened where it is not; the one longest unused, in which nothing
    // may run, makes room. The functions throw DeviceError, and datasets::ReadError for unfit artefacts.
    XrtContext& context(const Artefact& artefact);
    xrt::kernel& kernel(XrtContext& context, const Artefact& artefact);
    const XrtContext::Instructions& instructions(XrtContext& context, const Artefact& artefact);

    // The bank that buffers of kernels lie in: asked of this artefact's kernel, and the same for all others,
    // or XRT warns.
    xrt::memory_group data_bank(const Artefact& artefact);

    // Forgets a context. What still runs in it keeps what it needs.
    void lose(const XrtContext& context);

    // Throws DeviceError where XRT has warned of anything since the last call.
    void refuse_warnings(std::string_view what) const;

private:
    std::string folder_;
    xrt::device device_;
    std::list<XrtContext> contexts_;  // the last used first
    std::optional<xrt::memory_group> bank_;
};

}  // namespace npu_impl
