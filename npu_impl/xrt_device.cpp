#include "npu_impl/xrt_device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "npu_impl/artefacts.hpp"
#include "npu_impl/emulated_core.hpp"
#include "npu_impl/launch_program.hpp"
#include "npu_impl/xrt_session.hpp"
#include "npu_impl/xrt_submission.hpp"

namespace npu_impl {
namespace {

// Argument `opcode` of every kernel: run a list of transactions (AIE2_EXEC_BUFFER_KERNEL_OP_TXN of the
// driver's aie2_msg_priv.h). XRT copies the bytes it is given and leaves the rest of the register as it was,
// so all scalars have the width that the kernel declares.
constexpr std::uint64_t run_transactions = 3;

// Submissions in flight per context: the depth of the driver's queue.
constexpr std::size_t most_in_flight = 4;

struct Memory {
    xrt::bo bo;
    std::span<std::byte> host;
    std::map<std::int64_t, xrt::bo> windows;  // that begin inside it, by offset
    int in_flight = 0;
};

// Adds the time until its end to `seconds`.
class Timed {
public:
    explicit Timed(double& seconds) : seconds_(seconds) {}
    ~Timed() { seconds_ += std::chrono::duration<double>(Clock::now() - begin_).count(); }
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

private:
    using Clock = std::chrono::steady_clock;
    double& seconds_;
    Clock::time_point begin_ = Clock::now();
};

// A launch as planned, and what the NPU needs for it.
struct Prepared {
    const Launch* launch = nullptr;
    BoundLaunch bound;
    const Artefact* artefact = nullptr;
};

class XrtDevice final : public Device {
public:
    explicit XrtDevice(const XrtSettings& settings)
        : settings_(settings), session_(settings.index, settings.artefacts) {
        if (settings.artefacts.empty()) {
            throw DeviceError(
                "device xrt: no artefacts: name the folder of the compiled designs, "
                "--artefacts DIR");
        }
        artefacts_ = read_artefacts(settings.artefacts);
        std::erase_if(artefacts_, [](const Artefact& artefact) { return artefact.program.empty(); });
        if (artefacts_.empty()) {
            throw DeviceError(
                fmt::format("device xrt: {}: no artefact in it serves any launch", settings.artefacts));
        }
        is_hardware_ = session_.identity().hardware;
        for (const Artefact& artefact : artefacts_) {
            cores_ = std::max(cores_, artefact.cores);
        }
    }

    ~XrtDevice() override {
        try {
            wait();
        } catch (const DeviceError&) {
            // There is nobody left to tell.
        }
        set_aside(in_flight_);
    }

    [[nodiscard]] std::string_view name() const override { return "xrt"; }
    [[nodiscard]] int cores() const override { return cores_; }
    [[nodiscard]] datasets::Emulation emulation() const override { return datasets::Emulation::exact; }

    Buffer allocate(std::int64_t bytes) override {
        if (bytes < 1) {
            throw DeviceError(fmt::format("device xrt: cannot allocate {} bytes", bytes));
        }
        const auto size = static_cast<std::size_t>(bytes);
        const xrt::memory_group bank = session_.data_bank(artefacts_.front());
        Memory memory;
        asking_xrt(fmt::format("cannot allocate {} bytes", bytes), [&] {
            memory.bo = xrt::bo(session_.device(), size, xrt::bo::flags::host_only, bank);
            memory.host = {memory.bo.map<std::byte*>(), size};
        });
        session_.refuse_warnings("allocation");
        memories_.push_back(std::move(memory));
        return {static_cast<int>(memories_.size()) - 1};
    }

    void release(Buffer buffer) override {
        Memory& memory = memory_of(buffer);
        if (memory.in_flight > 0) {
            throw DeviceError(fmt::format("device xrt: release of buffer {} in flight", buffer.id));
        }
        memory = {};
    }

    std::span<std::byte> map(Buffer buffer) override { return memory_of(buffer).host; }

    void sync(Buffer buffer, Direction direction, std::int64_t offset, std::int64_t bytes) override {
        Memory& memory = memory_of(buffer);
        const auto size = std::ssize(memory.host);
        if (offset < 0 || bytes < 0 || offset > size || bytes > size - offset) {
            throw DeviceError(fmt::format("device xrt: sync of bytes {} to {} of buffer {}, which has {}",
                                          offset, offset + bytes, buffer.id, size));
        }
        if (memory.in_flight > 0) {
            throw DeviceError(fmt::format("device xrt: sync of buffer {} while a launch uses it", buffer.id));
        }
        const bool sent = direction == Direction::to_device;
        asking_xrt(fmt::format("sync of buffer {}", buffer.id), [&] {
            const Timed timed(sent ? time_.to_device_seconds : time_.from_device_seconds);
            memory.bo.sync(sent ? XCL_BO_SYNC_BO_TO_DEVICE : XCL_BO_SYNC_BO_FROM_DEVICE,
                           static_cast<std::size_t>(bytes), static_cast<std::size_t>(offset));
        });
        (sent ? counters_.bytes_to_device : counters_.bytes_from_device) += bytes;
        session_.refuse_warnings(fmt::format("sync of buffer {}", buffer.id));
    }

    void submit(std::span<const Launch> launches) override {
        std::vector<Prepared> prepared;
        for (const Launch& launch : launches) {
            require_inside(launch);
            BoundLaunch bound = bind_program(launch);
            const Artefact& artefact = artefact_of(launch, bound.program);
            prepared.push_back({&launch, std::move(bound), &artefact});
        }
        const double waited = time_.wait_seconds;
        {
            const Timed timed(time_.submit_seconds);
            for (auto first = prepared.begin(); first != prepared.end();) {
                const auto last = std::min(first + most_launches_at_once, prepared.end());
                const auto end = std::find_if(first, last, [&](const Prepared& other) {
                    return other.artefact->xclbin_sha256 != first->artefact->xclbin_sha256;
                });
                start({first, end});
                first = end;
            }
        }
        time_.submit_seconds -= time_.wait_seconds - waited;
    }

    void wait() override {
        while (!in_flight_.empty()) {
            finish_first();
        }
    }

    [[nodiscard]] Counters counters() const override { return counters_; }

    [[nodiscard]] datasets::Clock clock() const override {
        return is_hardware_ ? datasets::Clock::device_wall : datasets::Clock::emulation_wall;
    }
    [[nodiscard]] datasets::DeviceTime time() const override { return time_; }
    [[nodiscard]] std::optional<NpuIdentity> npu() const override { return session_.identity(); }

private:
    Memory& memory_of(Buffer buffer) {
        const auto index = static_cast<std::size_t>(buffer.id);
        if (buffer.id < 0 || index >= memories_.size() || memories_[index].host.empty()) {
            throw DeviceError(fmt::format("device xrt: there is no buffer {}", buffer.id));
        }
        return memories_[index];
    }

    // What a job touches lies inside its buffer: the device would not notice.
    void require_inside(const Launch& launch) {
        for (const Job& job : launch.jobs) {
            for (const Access& access : accesses(job)) {
                const Region& region = access.region;
                const Buffer buffer = launch.buffers.at(static_cast<std::size_t>(region.argument));
                const std::int64_t end = region.offset + (access.rows - 1) * region.stride + access.row_bytes;
                if (region.offset < 0 || region.stride < 0 || end > std::ssize(memory_of(buffer).host)) {
                    throw DeviceError(
                        fmt::format("design {}: {}: {} spans bytes {} to {} of buffer {}, which has {}",
                                    launch.design, launch.kernel, access.what, region.offset, end, buffer.id,
                                    memory_of(buffer).host.size()));
                }
            }
        }
    }

    const Artefact& artefact_of(const Launch& launch, const LaunchProgram& program) {
        const auto known = served_.find(program);
        if (known != served_.end()) {
            return *known->second;
        }
        const std::string wanted = identity(program);
        const auto found = std::ranges::find(artefacts_, wanted, &Artefact::program);
        if (found == artefacts_.end()) {
            throw DeviceError(fmt::format(
                "device xrt: {}: no artefact serves a launch of design {}, kernel {}: program {}; build it "
                "and `harness artefact add` it",
                settings_.artefacts, launch.design, launch.kernel, wanted));
        }
        return *served_.emplace(program, &*found).first->second;
    }

    // A buffer from the byte on where the program's first access lies.
    const xrt::bo& window(const LaunchArgument& argument) {
        Memory& memory = memory_of(argument.buffer);
        if (argument.offset == 0) {
            return memory.bo;
        }
        const auto known = memory.windows.find(argument.offset);
        if (known != memory.windows.end()) {
            return known->second;
        }
        const auto offset = static_cast<std::size_t>(argument.offset);
        return memory.windows
            .emplace(argument.offset, xrt::bo(memory.bo, memory.host.size() - offset, offset))
            .first->second;
    }

    // Launches of one xclbin, as one submission.
    void start(std::span<const Prepared> prepared) {
        const Artefact& first = *prepared.front().artefact;
        if (session_.is_full_for(first)) {
            wait();
        }
        XrtContext& context = session_.context(first);
        if (!in_flight_.empty() && &in_flight_.back().context() != &context) {
            wait();  // contexts run side by side; launches do not
        }
        while (in_flight_.size() >= most_in_flight) {
            finish_first();
        }
        std::vector<XrtLaunch> launches;
        for (const Prepared& one : prepared) {
            launches.push_back(with_arguments(context, one));
        }
        in_flight_.emplace_back(context, std::move(launches));
        for (const XrtLaunch& launch : in_flight_.back().launches()) {
            for (const Buffer buffer : launch.buffers) {
                ++memory_of(buffer).in_flight;
            }
        }
        ++time_.submissions;
        time_.switches += last_xclbin_ == first.xclbin_sha256 ? 0 : 1;
        last_xclbin_ = first.xclbin_sha256;
    }

    XrtLaunch with_arguments(XrtContext& context, const Prepared& prepared) {
        const Artefact& artefact = *prepared.artefact;
        const BoundLaunch& bound = prepared.bound;
        const KernelArguments& arguments = artefact.arguments;
        if (arguments.buffers.size() < bound.arguments.size()) {
            throw DeviceError(fmt::format("device xrt: artefact {}: the launch has {} buffers, {} are mapped",
                                          artefact.name, bound.arguments.size(), arguments.buffers.size()));
        }
        const XrtContext::Instructions& instructions = session_.instructions(context, artefact);
        XrtLaunch out;
        out.what = fmt::format("design {}: kernel {}: launch {} of the device (artefact {})",
                               prepared.launch->design, prepared.launch->kernel, started_++, artefact.name);
        out.buffers = prepared.launch->buffers;
        for (const Job& job : prepared.launch->jobs) {
            out.tiles += output_tiles(job);
        }
        xrt::kernel& kernel = session_.kernel(context, artefact);
        asking_xrt(out.what, [&] {
            out.run = xrt::run(kernel);
            out.run.set_arg(arguments.opcode, run_transactions);
            out.run.set_arg(arguments.instructions, instructions.words);
            out.run.set_arg(arguments.instruction_words, instructions.count);
            for (std::size_t i = 0; i < bound.arguments.size(); ++i) {
                out.memory.push_back(window(bound.arguments[i]));
                out.run.set_arg(arguments.buffers[i], out.memory.back());
            }
        });
        return out;
    }

    void land(const XrtSubmission& submission) {
        for (const XrtLaunch& launch : submission.launches()) {
            for (const Buffer buffer : launch.buffers) {
                --memory_of(buffer).in_flight;
            }
        }
    }

    void finish_first() {
        XrtSubmission::Ending ending;
        {
            const Timed timed(time_.wait_seconds);
            ending = in_flight_.front().wait(settings_.time_limit);
        }
        const std::vector<XrtLaunch>& launches = in_flight_.front().launches();
        for (std::size_t i = 0; i < ending.completed; ++i) {
            ++counters_.launches;
            counters_.tiles += launches[i].tiles;
        }
        if (!ending.fault.empty()) {
            if (ending.ended) {
                let_others_end();
            }
            const std::string warnings = take_warnings();
            lose_context();
            throw DeviceError(warnings.empty() ? ending.fault : ending.fault + "; XRT warns: " + warnings);
        }
        const std::string what = launches.front().what;
        land(in_flight_.front());
        in_flight_.pop_front();
        session_.refuse_warnings(what);
    }

    // What is queued behind a failed launch mostly ends as well, and until then takes the place of what comes
    // next. How it ends says nothing any more.
    void let_others_end() {
        const auto deadline = std::chrono::steady_clock::now() + settings_.time_limit;
        for (auto next = in_flight_.begin() + 1; next != in_flight_.end(); ++next) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                deadline - std::chrono::steady_clock::now());
            (void)next->wait(std::max(left, std::chrono::milliseconds(1)));
        }
    }

    // Of the submissions in flight, which all run in one: nothing that is queued behind a failed launch can
    // be trusted to end.
    void lose_context() {
        const XrtContext& lost = in_flight_.front().context();
        for (const XrtSubmission& submission : in_flight_) {
            land(submission);
        }
        set_aside(in_flight_);
        session_.lose(lost);
    }

    // Members die in the reverse order: what runs and buffers before the session.
    XrtSettings settings_;
    std::vector<Artefact> artefacts_;
    std::map<LaunchProgram, const Artefact*> served_;
    XrtSession session_;
    std::vector<Memory> memories_;  // by id; released ones are empty
    std::deque<XrtSubmission> in_flight_;
    Counters counters_;
    datasets::DeviceTime time_;
    bool is_hardware_ = false;
    std::string last_xclbin_;  // of the submission before, by SHA-256
    std::int64_t started_ = 0;
    int cores_ = 1;
};

}  // namespace

bool built_with_xrt() {
    return true;
}

std::string_view xrt_flow() {
#ifdef HARNESS_XRT_CONTEXT
    return "hardware contexts";
#else
    return "load_xclbin";
#endif
}

std::unique_ptr<Device> open_xrt_device(const XrtSettings& settings) {
    return std::make_unique<XrtDevice>(settings);
}

}  // namespace npu_impl
