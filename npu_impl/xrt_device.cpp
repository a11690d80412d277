#include "npu_impl/xrt_device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "npu_impl/artefacts.hpp"
#include "npu_impl/emulated_core.hpp"
#include "npu_impl/launch_program.hpp"
#include "npu_impl/xrt_session.hpp"

namespace npu_impl {
namespace {

// Argument `opcode` of every kernel: run a list of transactions (AIE2_EXEC_BUFFER_KERNEL_OP_TXN of the
// driver's aie2_msg_priv.h). XRT copies the bytes it is given and leaves the rest of the register as it was,
// so all scalars have the width that the kernel declares.
constexpr std::uint64_t run_transactions = 3;

// Commands in flight per context: the depth of the driver's queue.
constexpr std::size_t most_in_flight = 4;

std::string_view state_name(ert_cmd_state state) {
    switch (state) {
        case ERT_CMD_STATE_COMPLETED:
            return "COMPLETED";
        case ERT_CMD_STATE_ERROR:
            return "ERROR";
        case ERT_CMD_STATE_ABORT:
            return "ABORT";
        case ERT_CMD_STATE_TIMEOUT:
            return "TIMEOUT";
        case ERT_CMD_STATE_NORESPONSE:
            return "NORESPONSE";
        default:
            return "unfinished";
    }
}

struct Memory {
    xrt::bo bo;
    std::span<std::byte> host;
    std::map<std::int64_t, xrt::bo> windows;  // that begin inside it, by offset
    int in_flight = 0;
};

// A launch that was started. It keeps alive what the device may still write.
struct Flight {
    xrt::run run;
    XrtContext* context = nullptr;
    std::string what;
    std::int64_t tiles = 0;
    std::vector<Buffer> buffers;
    std::vector<xrt::bo> memory;
};

// Whether the command has ended, in whatever state; a wait then makes XRT take note.
bool has_ended(const Flight& flight) {
    if (flight.run.state() < ERT_CMD_STATE_COMPLETED) {
        return false;
    }
    (void)flight.run.wait(std::chrono::milliseconds(1));
    return true;
}

// Keeps launches of lost contexts until their commands have ended, for longer than any device: XRT ends the
// process when a run is destroyed before.
void set_aside(std::deque<Flight>& launches) {
    static std::vector<Flight>& unfinished = *new std::vector<Flight>;
    std::erase_if(unfinished, has_ended);
    for (Flight& launch : launches) {
        if (!has_ended(launch)) {
            unfinished.push_back(std::move(launch));
        }
    }
    launches.clear();
}

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
            memory.bo.sync(sent ? XCL_BO_SYNC_BO_TO_DEVICE : XCL_BO_SYNC_BO_FROM_DEVICE,
                           static_cast<std::size_t>(bytes), static_cast<std::size_t>(offset));
        });
        (sent ? counters_.bytes_to_device : counters_.bytes_from_device) += bytes;
    }

    void submit(std::span<const Launch> launches) override {
        std::vector<BoundLaunch> bound;
        std::vector<const Artefact*> artefacts;
        for (const Launch& launch : launches) {
            require_inside(launch);
            bound.push_back(bind_program(launch));
            artefacts.push_back(&artefact_of(launch, bound.back().program));
        }
        for (std::size_t i = 0; i < launches.size(); ++i) {
            start(launches[i], bound[i], *artefacts[i]);
        }
    }

    void wait() override {
        while (!in_flight_.empty()) {
            finish_first();
        }
    }

    [[nodiscard]] Counters counters() const override { return counters_; }

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

    void start(const Launch& launch, const BoundLaunch& bound, const Artefact& artefact) {
        if (artefact.arguments.buffers.size() < bound.arguments.size()) {
            throw DeviceError(fmt::format("device xrt: artefact {}: the launch has {} buffers, {} are mapped",
                                          artefact.name, bound.arguments.size(),
                                          artefact.arguments.buffers.size()));
        }
        if (session_.is_full_for(artefact)) {
            wait();
        }
        XrtContext& context = session_.context(artefact);
        if (!in_flight_.empty() && in_flight_.back().context != &context) {
            wait();  // contexts run side by side; launches do not
        }
        while (in_flight_.size() >= most_in_flight) {
            finish_first();
        }
        const XrtContext::Instructions& instructions = session_.instructions(context, artefact);
        Flight flight{{},
                      &context,
                      fmt::format("design {}: kernel {}: launch {} of the device (artefact {})",
                                  launch.design, launch.kernel, started_, artefact.name),
                      0,
                      launch.buffers,
                      {}};
        for (const Job& job : launch.jobs) {
            flight.tiles += output_tiles(job);
        }
        xrt::kernel& kernel = session_.kernel(context, artefact);
        asking_xrt(flight.what, [&] {
            const KernelArguments& arguments = artefact.arguments;
            flight.run = xrt::run(kernel);
            flight.run.set_arg(arguments.opcode, run_transactions);
            flight.run.set_arg(arguments.instructions, instructions.words);
            flight.run.set_arg(arguments.instruction_words, instructions.count);
            for (std::size_t i = 0; i < bound.arguments.size(); ++i) {
                flight.memory.push_back(window(bound.arguments[i]));
                flight.run.set_arg(arguments.buffers[i], flight.memory.back());
            }
            flight.run.start();
        });
        ++started_;
        for (const Buffer buffer : flight.buffers) {
            ++memory_of(buffer).in_flight;
        }
        in_flight_.push_back(std::move(flight));
    }

    void land(const Flight& flight) {
        for (const Buffer buffer : flight.buffers) {
            --memory_of(buffer).in_flight;
        }
    }

    void finish_first() {
        ert_cmd_state state = ERT_CMD_STATE_ERROR;
        try {
            state = asking_xrt(in_flight_.front().what,
                               [&] { return in_flight_.front().run.wait(settings_.time_limit); });
        } catch (const DeviceError&) {
            lose_context();
            throw;
        }
        if (state != ERT_CMD_STATE_COMPLETED) {
            const Flight& first = in_flight_.front();
            const bool limit = state == ERT_CMD_STATE_TIMEOUT && first.run.state() < ERT_CMD_STATE_COMPLETED;
            const std::string message =
                limit ? fmt::format("{}: it did not end within {} ms; --timeout-ms sets the limit",
                                    first.what, settings_.time_limit.count())
                      : fmt::format("{}: it ended as {}, not as COMPLETED", first.what, state_name(state));
            lose_context();
            throw DeviceError(message);
        }
        const Flight flight = std::move(in_flight_.front());
        in_flight_.pop_front();
        land(flight);
        ++counters_.launches;
        counters_.tiles += flight.tiles;
        session_.refuse_warnings(flight.what);
    }

    // Of the launches in flight, which all run in one: nothing that is queued behind a failed launch can be
    // trusted to end.
    void lose_context() {
        const XrtContext& lost = *in_flight_.front().context;
        for (const Flight& flight : in_flight_) {
            land(flight);
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
    std::deque<Flight> in_flight_;
    Counters counters_;
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
