#include "npu_impl/xrt_emulation/emulated_npu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "npu_impl/xrt_emulation/emulated_command.hpp"
#include "npu_impl/xrt_emulation/emulated_memory.hpp"

namespace npu_impl::xrt_emulation {

struct EmulatedNpu::State {
    mutable std::mutex mutex;
    std::condition_variable work;
    EmulatedMemory memory;
    std::vector<std::byte> xclbin_bytes;
    std::optional<Xclbin> xclbin;
    int open_contexts = 0;
    std::deque<Command> queue;
    std::size_t in_flight = 0;
    std::thread thread;
    bool stopping = false;
    std::optional<Outcome> wedged;         // how every command ends until the next load
    std::map<std::int64_t, Fault> faults;  // by number of the command
    int failing_allocation = 0;
    int refused_context = 0;
    std::chrono::milliseconds most_delay{0};
    std::minstd_rand random{1};
    bool present = true;
    NpuStatistics statistics;
    std::string violations;
    CommandRunner runner;  // the thread's own

    void transfer(unsigned handle, std::size_t offset, std::size_t bytes, bool to_device);
    void serve();
};

void EmulatedNpu::State::transfer(unsigned handle, std::size_t offset, std::size_t bytes, bool to_device) {
    const std::scoped_lock lock(mutex);
    Block& found = *memory.block(handle);
    if (offset > found.bytes || bytes > found.bytes - offset) {
        refuse(EINVAL, fmt::format("sync of bytes {} to {} of {}", offset, offset + bytes, found.bytes));
    }
    if (found.in_use > 0) {
        violations += fmt::format("sync of buffer {} in use\n", handle);
    }
    std::byte* from = (to_device ? found.host : found.device).get() + offset;
    std::memcpy((to_device ? found.device : found.host).get() + offset, from, bytes);
}

void EmulatedNpu::State::serve() {
    std::unique_lock lock(mutex);
    for (;;) {
        work.wait(lock, [&] { return stopping || !queue.empty(); });
        if (stopping) {
            return;
        }
        Command command = std::move(queue.front());
        queue.pop_front();
        const std::chrono::milliseconds delay{
            most_delay.count() == 0 ? 0 : static_cast<std::int64_t>(random()) % (most_delay.count() + 1)};
        const std::optional<Outcome> forced = wedged;
        lock.unlock();
        std::this_thread::sleep_for(delay);
        Outcome outcome = Outcome::error;
        std::string wrong;
        try {
            outcome = forced ? *forced : runner.run(command);
        } catch (const std::exception& error) {
            wrong = fmt::format("command {}: {}\n", command.handle, error.what());
        }
        lock.lock();
        violations += wrong;
        if (command.fault == Fault::context_lost || outcome == Outcome::never) {
            wedged = outcome;
        }
        for (const Place& place : command.arguments) {
            --place.block->in_use;
        }
        --in_flight;
        if (outcome != Outcome::never) {
            lock.unlock();
            command.done(command.handle, outcome);
            lock.lock();
        }
    }
}

EmulatedNpu::EmulatedNpu() : state_(std::make_unique<State>()) {}

EmulatedNpu& EmulatedNpu::instance() {
    static EmulatedNpu& npu = *new EmulatedNpu;
    return npu;
}

unsigned EmulatedNpu::allocate(std::size_t bytes, MemoryKind kind) {
    const std::scoped_lock lock(state_->mutex);
    if (kind != MemoryKind::command && state_->failing_allocation > 0 && --state_->failing_allocation == 0) {
        refuse(ENOMEM, "no memory left");
    }
    state_->statistics.buffers += kind == MemoryKind::command ? 0 : 1;
    return state_->memory.allocate(bytes, kind);
}

void EmulatedNpu::release(unsigned buffer) {
    const std::scoped_lock lock(state_->mutex);
    const Block& block = *state_->memory.block(buffer);
    if (block.in_use > 0) {
        state_->violations += fmt::format("release of buffer {} in use\n", buffer);
    }
    state_->statistics.buffers -= block.kind == MemoryKind::command ? 0 : 1;
    state_->memory.release(buffer);
}

std::byte* EmulatedNpu::host(unsigned buffer) const {
    const std::scoped_lock lock(state_->mutex);
    return state_->memory.block(buffer)->host.get();
}

std::uint64_t EmulatedNpu::address(unsigned buffer) const {
    const std::scoped_lock lock(state_->mutex);
    return state_->memory.block(buffer)->address;
}

std::size_t EmulatedNpu::size(unsigned buffer) const {
    const std::scoped_lock lock(state_->mutex);
    return state_->memory.block(buffer)->bytes;
}

void EmulatedNpu::send(unsigned buffer, std::size_t offset, std::size_t bytes) {
    state_->transfer(buffer, offset, bytes, true);
}

void EmulatedNpu::fetch(unsigned buffer, std::size_t offset, std::size_t bytes) {
    state_->transfer(buffer, offset, bytes, false);
}

void EmulatedNpu::load(std::span<const std::byte> xclbin) {
    const std::scoped_lock lock(state_->mutex);
    if (!state_->queue.empty()) {
        state_->violations += "an xclbin loaded while commands are queued\n";
    }
    state_->xclbin_bytes.assign(xclbin.begin(), xclbin.end());
    state_->xclbin = read_xclbin("the loaded xclbin", state_->xclbin_bytes);
    state_->wedged.reset();
    ++state_->statistics.loads;
}

void EmulatedNpu::open_context() {
    const std::scoped_lock lock(state_->mutex);
    const bool planned = state_->refused_context > 0 && --state_->refused_context == 0;
    if (planned || state_->open_contexts == contexts) {
        refuse(EBUSY, "no context is free");
    }
    ++state_->open_contexts;
    ++state_->statistics.contexts_opened;
}

void EmulatedNpu::close_context() {
    const std::scoped_lock lock(state_->mutex);
    --state_->open_contexts;
}

void EmulatedNpu::submit(unsigned command, std::span<const std::uint32_t> registers, Done done) {
    const std::scoped_lock lock(state_->mutex);
    State& state = *state_;
    if (state.in_flight == commands) {
        refuse(EBUSY, "four commands are in flight");
    }
    Command queued;
    queued.handle = command;
    queued.done = done;
    try {
        if (!state.xclbin) {
            refuse(ENOEXEC, "no xclbin is loaded");
        }
        understand(queued, *state.xclbin, state.memory, registers);
    } catch (const std::exception& error) {
        state.violations += fmt::format("command {}: {}\n", command, error.what());
        queued.arguments.clear();
    }
    for (const Place& place : queued.arguments) {
        ++place.block->in_use;
    }
    if (const auto planned = state.faults.find(++state.statistics.commands); planned != state.faults.end()) {
        queued.fault = planned->second;
        state.faults.erase(planned);
    }
    ++state.in_flight;
    state.statistics.most_in_flight =
        std::max(state.statistics.most_in_flight, static_cast<std::int64_t>(state.in_flight));
    state.queue.push_back(std::move(queued));
    if (!state.thread.joinable() && !state.stopping) {
        state.thread = std::thread([&state] { state.serve(); });
    }
    state.work.notify_one();
}

void EmulatedNpu::stop() {
    {
        const std::scoped_lock lock(state_->mutex);
        state_->stopping = true;
    }
    state_->work.notify_all();
    if (state_->thread.joinable()) {
        state_->thread.join();
    }
}

void EmulatedNpu::plan(Fault fault, int nth) {
    const std::scoped_lock lock(state_->mutex);
    state_->faults[state_->statistics.commands + nth] = fault;
}

void EmulatedNpu::fail_allocation(int nth) {
    const std::scoped_lock lock(state_->mutex);
    state_->failing_allocation = nth;
}

void EmulatedNpu::refuse_context(int nth) {
    const std::scoped_lock lock(state_->mutex);
    state_->refused_context = nth;
}

void EmulatedNpu::delay_randomly(std::chrono::milliseconds most) {
    const std::scoped_lock lock(state_->mutex);
    state_->most_delay = most;
}

void EmulatedNpu::remove() {
    const std::scoped_lock lock(state_->mutex);
    state_->present = false;
}

void EmulatedNpu::heal() {
    const std::scoped_lock lock(state_->mutex);
    state_->faults.clear();
    state_->failing_allocation = 0;
    state_->refused_context = 0;
    state_->most_delay = std::chrono::milliseconds{0};
    state_->present = true;
}

bool EmulatedNpu::present() const {
    const std::scoped_lock lock(state_->mutex);
    return state_->present;
}

NpuStatistics EmulatedNpu::statistics() const {
    const std::scoped_lock lock(state_->mutex);
    return state_->statistics;
}

std::string EmulatedNpu::take_violations() {
    const std::scoped_lock lock(state_->mutex);
    return std::exchange(state_->violations, {});
}

}  // namespace npu_impl::xrt_emulation
