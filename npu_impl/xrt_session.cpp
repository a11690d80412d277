#include "npu_impl/xrt_session.hpp"

#if __has_include(<xrt/experimental/xrt_ini.h>)
#include <xrt/experimental/xrt_ini.h>
#else
#include <experimental/xrt_ini.h>
#endif

#include <algorithm>
#include <cstring>
#include <sstream>
#include <vector>

#include "npu_impl/npu_identity.hpp"
#include "npu_impl/xrt_messages.hpp"

namespace npu_impl {
namespace {

#ifdef HARNESS_XRT_CONTEXT
// Of the six that an NPU has, some for other processes.
constexpr std::size_t most_contexts = 4;
#else
// An xclbin is loaded in the place of the one before.
constexpr std::size_t most_contexts = 1;
#endif

// XRT's warnings, collected from the first session of this process on.
MessageFile& collected_messages() {
    // Never destroyed: XRT logs from its own static destructors.
    static MessageFile& messages = [&]() -> MessageFile& {
        auto* file = new MessageFile;
        xrt::ini::set("Runtime.runtime_log", file->name());
        xrt::ini::set("Runtime.verbosity", "4");  // warnings and worse
        return *file;
    }();
    return messages;
}

}  // namespace

std::string one_line(std::string text) {
    std::ranges::replace_if(
        text, [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
    const std::size_t end = text.find_last_not_of(' ');
    return end == std::string::npos ? std::string("no reason given") : text.substr(0, end + 1);
}

// A line begins with date, program and thread.
std::string take_warnings() {
    std::istringstream lines(collected_messages().take());
    std::string warnings;
    for (std::string line; std::getline(lines, line);) {
        const std::size_t thread = line.find("Tid: ");
        const std::size_t begin = thread == std::string::npos ? 0 : line.find_first_of(',', thread);
        const std::size_t text = line.find_first_not_of(", ", begin == std::string::npos ? 0 : begin);
        if (text != std::string::npos) {
            warnings += (warnings.empty() ? "" : "; ") + one_line(line.substr(text));
        }
    }
    return warnings;
}

XrtContext::XrtContext(xrt::device& device, const Artefact& artefact, std::span<const std::byte> xclbin)
    : device_(device),
      xclbin_sha256_(artefact.xclbin_sha256),
      xclbin_(std::vector<char>(reinterpret_cast<const char*>(xclbin.data()),
                                reinterpret_cast<const char*>(xclbin.data() + xclbin.size()))) {
#ifdef HARNESS_XRT_CONTEXT
    hardware_ = xrt::hw_context(device_, device_.register_xclbin(xclbin_));
#else
    loaded_ = device_.load_xclbin(xclbin_);
#endif
}

xrt::kernel& XrtContext::kernel(const std::string& name) {
    const auto known = kernels_.find(name);
    if (known != kernels_.end()) {
        return known->second;
    }
#ifdef HARNESS_XRT_CONTEXT
    return kernels_.emplace(name, xrt::kernel(hardware_, name)).first->second;
#else
    return kernels_.emplace(name, xrt::kernel(device_, loaded_, name)).first->second;
#endif
}

XrtContext::Instructions& XrtContext::instructions(const Artefact& artefact, const std::string& folder) {
    const auto known = instructions_.find(artefact.name);
    if (known != instructions_.end()) {
        return known->second;
    }
    const std::vector<std::uint32_t> words = load_artefact(folder, artefact).instructions;
    const int bank = kernel(artefact.kernel).group_id(artefact.arguments.instructions);
    const std::size_t bytes = words.size() * sizeof(std::uint32_t);
    Instructions made;
    asking_xrt(fmt::format("cannot load instructions {}", artefact.instructions), [&] {
        made.count = static_cast<std::uint32_t>(words.size());
        made.words = xrt::bo(device_, bytes, xrt::bo::flags::cacheable, static_cast<xrt::memory_group>(bank));
        std::memcpy(made.words.map<std::byte*>(), words.data(), bytes);
        made.words.sync(XCL_BO_SYNC_BO_TO_DEVICE);
    });
    return instructions_.emplace(artefact.name, std::move(made)).first->second;
}

XrtSession::XrtSession(unsigned index, std::string folder) : folder_(std::move(folder)) {
    try {
        (void)take_warnings();
    } catch (const std::exception& error) {
        throw DeviceError(
            fmt::format("device xrt: its messages cannot be collected: {}", one_line(error.what())));
    }
    device_ = asking_xrt(fmt::format("XRT cannot open NPU {}", index), [&] { return xrt::device(index); });
}

NpuIdentity XrtSession::identity() const {
    refuse_warnings("before its identity was asked");
    const auto told = [](auto ask) {
        try {
            return ask();
        } catch (const std::exception&) {
            return std::string();  // XRT knows no answer: a device may have none
        }
    };
    NpuIdentity identity;
    identity.name = told([&] { return device_.get_info<xrt::info::device::name>(); });
    identity.hardware = is_hardware_name(identity.name);
    identity.power_mode =
        power_mode_in(told([&] { return device_.get_info<xrt::info::device::platform>(); }));
    identity.xrt = xrt_version_in(told([&] { return device_.get_info<xrt::info::device::host>(); }));
    identity.firmware =
        firmware_version("", told([&] { return device_.get_info<xrt::info::device::bdf>(); }));
    identity.most_launches_at_once = static_cast<int>(most_launches_at_once);
    (void)take_warnings();  // of queries without an answer
    return identity;
}

bool XrtSession::is_full_for(const Artefact& artefact) const {
    return contexts_.size() >= most_contexts &&
           std::ranges::find(contexts_, artefact.xclbin_sha256, &XrtContext::xclbin_sha256) ==
               contexts_.end();
}

XrtContext& XrtSession::context(const Artefact& artefact) {
    const auto found = std::ranges::find(contexts_, artefact.xclbin_sha256, &XrtContext::xclbin_sha256);
    if (found != contexts_.end()) {
        contexts_.splice(contexts_.begin(), contexts_, found);
        return contexts_.front();
    }
    const ArtefactFiles files = load_artefact(folder_, artefact);
    if (is_full_for(artefact)) {
        contexts_.pop_back();
    }
    asking_xrt(fmt::format("cannot open a context for xclbin {} (is the NPU busy?)", artefact.xclbin),
               [&] { contexts_.emplace_front(device_, artefact, files.xclbin); });
    refuse_warnings("the context of " + artefact.xclbin);
    return contexts_.front();
}

xrt::kernel& XrtSession::kernel(XrtContext& context, const Artefact& artefact) {
    return asking_xrt(
        fmt::format("cannot open kernel {} of {} (is the NPU busy?)", artefact.kernel, artefact.xclbin),
        [&]() -> xrt::kernel& { return context.kernel(artefact.kernel); });
}

const XrtContext::Instructions& XrtSession::instructions(XrtContext& context, const Artefact& artefact) {
    (void)kernel(context, artefact);
    const XrtContext::Instructions& loaded = context.instructions(artefact, folder_);
    refuse_warnings("the instructions of " + artefact.name);
    return loaded;
}

xrt::memory_group XrtSession::data_bank(const Artefact& artefact) {
    if (!bank_) {
        xrt::kernel& asked = kernel(context(artefact), artefact);
        const int buffer = artefact.arguments.buffers.at(0);
        bank_ = asking_xrt(fmt::format("bank of argument {} of kernel {}", buffer, artefact.kernel),
                           [&] { return static_cast<xrt::memory_group>(asked.group_id(buffer)); });
    }
    return *bank_;
}

void XrtSession::lose(const XrtContext& context) {
    contexts_.remove_if([&](const XrtContext& other) { return &other == &context; });
}

void XrtSession::refuse_warnings(std::string_view what) const {
    if (const std::string warnings = take_warnings(); !warnings.empty()) {
        throw DeviceError(fmt::format("device xrt: {}: XRT warns: {}", what, warnings));
    }
}

}  // namespace npu_impl
