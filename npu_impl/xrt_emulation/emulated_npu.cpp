#include "npu_impl/xrt_emulation/emulated_npu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "npu_impl/xrt_emulation/emulated_command.hpp"
#include "npu_impl/xrt_emulation/emulated_memory.hpp"

namespace npu_impl::xrt_emulation {

namespace {

struct LoadedXclbin {
    explicit LoadedXclbin(std::span<const std::byte> from)
        : bytes(from.begin(), from.end()), xclbin(read_xclbin("the loaded xclbin", bytes)) {}
    LoadedXclbin(const LoadedXclbin&) = delete;
    LoadedXclbin& operator=(const LoadedXclbin&) = delete;

    std::vector<std::byte> bytes;
    Xclbin xclbin;
    bool wedged = false;
    Outcome ending = Outcome::completed;  // of every command, once it is wedged
};

struct Queued {
    unsigned handle = 0;
    std::vector<Command> runs;
    EmulatedNpu::Done done = nullptr;
    std::shared_ptr<LoadedXclbin> from;  // null where none is loaded
};

// How a command ended, and the first of its runs that did not complete.
struct Ended {
    Outcome outcome = Outcome::completed;
    std::size_t failed = 0;
};

}  // namespace

struct EmulatedNpu::State {
    mutable std::mutex mutex;
    std::condition_variable work;
    EmulatedMemory memory;
    std::map<Slot, std::shared_ptr<LoadedXclbin>> slots;
    Slot next_slot = 1;
    int open_contexts = 0;
    std::deque<Queued> queue;
    std::size_t in_flight = 0;
    std::vector<Queued> unended;  // commands that never ended
    std::thread thread;
    bool stopping = false;
    std::map<std::int64_t, Fault> faults;  // by number of the run
    int failing_allocation = 0;
    int refused_context = 0;
    std::chrono::milliseconds most_delay{0};
    std::minstd_rand random{1};
    bool present = true;
    NpuStatistics statistics;
    std::string violations;
    CommandRunner runner;  // the thread's own

    void transfer(unsigned handle, std::size_t offset, std::size_t bytes, bool to_device);
    Command understood(const Queued& queued, Registers registers);
    Ended run(const Queued& queued, std::string& wrong);
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

// Without the lock: the runner is the thread's own.
Ended EmulatedNpu::State::run(const Queued& queued, std::string& wrong) {
    for (std::size_t i = 0; i < queued.runs.size(); ++i) {
        Outcome outcome = Outcome::error;
        try {
            outcome = runner.run(queued.runs[i]);
        } catch (const std::exception& error) {
            wrong += fmt::format("command {}: {}\n", queued.handle, error.what());
        }
        if (outcome != Outcome::completed) {
            return {outcome, i};
        }
    }
    return {Outcome::completed, queued.runs.size()};
}

// A run as its firmware reads it, whose buffers are then in use.
Command EmulatedNpu::State::understood(const Queued& queued, Registers registers) {
    Command run;
    try {
        if (queued.from == nullptr) {
            refuse(ENOEXEC, "no xclbin is loaded");
        }
        understand(run, queued.from->xclbin, memory, registers);
    } catch (const std::exception& error) {
        violations += fmt::format("command {}: {}\n", queued.handle, error.what());
        run.arguments.clear();
    }
    for (const Place& place : run.arguments) {
        ++place.block->in_use;
    }
    if (const auto planned = faults.find(++statistics.runs); planned != faults.end()) {
        run.fault = planned->second;
        faults.erase(planned);
    }
    return run;
}

void EmulatedNpu::State::serve() {
    std::unique_lock lock(mutex);
    for (;;) {
        work.wait(lock, [&] { return stopping || !queue.empty(); });
        if (stopping) {
            return;
        }
        Queued queued = std::move(queue.front());
        queue.pop_front();
        const std::chrono::milliseconds delay{
            most_delay.count() == 0 ? 0 : static_cast<std::int64_t>(random()) % (most_delay.count() + 1)};
        const bool forced = queued.from != nullptr && queued.from->wedged;
        Ended ended{forced ? queued.from->ending : Outcome::error, 0};
        lock.unlock();
        std::this_thread::sleep_for(delay);
        std::string wrong;
        ended = forced ? ended : run(queued, wrong);
        lock.lock();
        violations += wrong;
        const bool lost =
            ended.failed < queued.runs.size() && queued.runs[ended.failed].fault == Fault::context_lost;
        if (queued.from != nullptr && (lost || ended.outcome == Outcome::never)) {
            queued.from->wedged = true;
            queued.from->ending = ended.outcome;
        }
        for (const Command& command : queued.runs) {
            for (const Place& place : command.arguments) {
                --place.block->in_use;
            }
        }
        --in_flight;
        if (ended.outcome == Outcome::never) {
            unended.push_back({queued.handle, {}, queued.done, nullptr});
        } else {
            lock.unlock();
            queued.done(queued.handle, ended.outcome, ended.failed);
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
    state_->slots[loaded] = std::make_shared<LoadedXclbin>(xclbin);
    ++state_->statistics.loads;
}

EmulatedNpu::Slot EmulatedNpu::open_context(std::span<const std::byte> xclbin) {
    open_context();
    const std::scoped_lock lock(state_->mutex);
    state_->slots[state_->next_slot] = std::make_shared<LoadedXclbin>(xclbin);
    return state_->next_slot++;
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

void EmulatedNpu::close_context(Slot slot) {
    const std::scoped_lock lock(state_->mutex);
    if (slot != loaded) {
        state_->slots.erase(slot);
    }
    --state_->open_contexts;
}

void EmulatedNpu::submit(Slot slot, unsigned command, std::span<const Registers> list, Done done) {
    const std::scoped_lock lock(state_->mutex);
    State& state = *state_;
    if (state.in_flight == commands) {
        refuse(EBUSY, "four commands are in flight");
    }
    if (list.empty() || list.size() > runs) {
        refuse(EINVAL, fmt::format("a list of {} runs", list.size()));
    }
    const auto from = state.slots.find(slot);
    Queued queued{command, {}, done, from == state.slots.end() ? nullptr : from->second};
    for (const Registers& registers : list) {
        queued.runs.push_back(state.understood(queued, registers));
    }
    ++state.in_flight;
    ++state.statistics.commands;
    state.statistics.most_in_flight =
        std::max(state.statistics.most_in_flight, static_cast<std::int64_t>(state.in_flight));
    state.queue.push_back(std::move(queued));
    if (!state.thread.joinable() && !state.stopping) {
        state.thread = std::thread([&state] { state.serve(); });
    }
    state.work.notify_one();
}

void EmulatedNpu::report_violation(const std::string& line) {
    const std::scoped_lock lock(state_->mutex);
    state_->violations += line + "\n";
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
    state_->faults[state_->statistics.runs + nth] = fault;
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
    std::vector<Queued> unended;
    {
        const std::scoped_lock lock(state_->mutex);
        state_->faults.clear();
        state_->failing_allocation = 0;
        state_->refused_context = 0;
        state_->most_delay = std::chrono::milliseconds{0};
        state_->present = true;
        unended = std::exchange(state_->unended, {});
    }
    for (const Queued& command : unended) {
        command.done(command.handle, Outcome::aborted, 0);
    }
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
