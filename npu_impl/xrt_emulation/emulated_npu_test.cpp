// The NPU of the tests by itself: it refuses what a real one refuses, and what a real one would not notice.
#include "npu_impl/xrt_emulation/emulated_npu.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <cstring>
#include <system_error>
#include <thread>

#include "npu_impl/launch_catalogue.hpp"
#include "npu_impl/launch_program.hpp"
#include "npu_impl/xrt_emulation/xclbin_writer.hpp"

namespace npu_impl::xrt_emulation {
namespace {

using ::testing::HasSubstr;

std::atomic<int>& ended() {
    static std::atomic<int> count = 0;
    return count;
}
std::atomic<Outcome>& last_outcome() {
    static std::atomic<Outcome> outcome = Outcome::never;
    return outcome;
}
std::atomic<std::size_t>& last_failed() {
    static std::atomic<std::size_t> index = 0;
    return index;
}
void note(unsigned, Outcome outcome, std::size_t failed) {
    last_outcome() = outcome;
    last_failed() = failed;
    ++ended();
}

// The first launch of a layer, its words on the device, buffers for its arguments.
class EmulatedNpuTest : public ::testing::Test {
protected:
    EmulatedNpuTest() {
        const auto image = std::as_bytes(std::span(program_.kernel));
        npu_.heal();
        (void)npu_.take_violations();
        npu_.load(write_xclbin({"MLIR_AIE", std::vector<int>(4, 0), 4, {image.begin(), image.end()}, {}}));
        command_ = allocate(4096, MemoryKind::command);
        const std::size_t bytes = program_.instructions.size() * 4;
        instructions_ = allocate(bytes, MemoryKind::instructions);
        std::memcpy(npu_.host(instructions_), program_.instructions.data(), bytes);
        npu_.send(instructions_, 0, bytes);
        for (std::size_t i = 0; i < 4; ++i) {
            arguments_.push_back(allocate(1 << 16, MemoryKind::data));
        }
        set(0, std::uint64_t{3});
        set(8, npu_.address(instructions_));
        set(16, static_cast<std::uint32_t>(program_.instructions.size()));
        for (std::size_t i = 0; i < 4; ++i) {
            set(20 + 8 * i, npu_.address(arguments_[i]));
        }
    }
    ~EmulatedNpuTest() override {
        for (const unsigned buffer : all_) {
            npu_.release(buffer);
        }
        (void)npu_.take_violations();
    }

    unsigned allocate(std::size_t bytes, MemoryKind kind) {
        all_.push_back(npu_.allocate(bytes, kind));
        return all_.back();
    }

    template <typename Value>
    void set(std::size_t offset, Value value) {
        std::memcpy(reinterpret_cast<std::byte*>(registers_.data()) + offset, &value, sizeof value);
    }

    // As a list of so many equal runs.
    void submit(std::size_t runs) {
        npu_.submit(EmulatedNpu::loaded, command_, std::vector<EmulatedNpu::Registers>(runs, registers_),
                    note);
    }

    // How the command ends, and what the NPU has to say about it.
    std::pair<Outcome, std::string> run(std::size_t runs = 1) {
        const int before = ended();
        submit(runs);
        while (ended() == before) {
            std::this_thread::yield();
        }
        return {last_outcome(), npu_.take_violations()};
    }

    void expect_refused(const std::string& reason) {
        const auto [outcome, violations] = run();
        EXPECT_EQ(outcome, Outcome::error);
        EXPECT_THAT(violations, HasSubstr(reason));
    }

    EmulatedNpu& npu_ = EmulatedNpu::instance();
    LaunchProgram program_ = bind_program(planned_launches(*find_design("unfused"), {64, 1}).front()).program;
    std::vector<unsigned> all_;
    std::vector<unsigned> arguments_;
    unsigned command_ = 0;
    unsigned instructions_ = 0;
    std::vector<std::uint32_t> registers_ = std::vector<std::uint32_t>(13);
};

TEST_F(EmulatedNpuTest, RunsAWholeCommandInItsOwnMemoryOnly) {
    std::byte* out = npu_.host(arguments_[2]);
    const std::vector<std::byte> before(out, out + (1 << 16));
    EXPECT_EQ(run(), std::pair(Outcome::completed, std::string()));
    EXPECT_TRUE(std::equal(before.begin(), before.end(), out)) << "the host's side has changed";
    npu_.fetch(arguments_[2], 0, 8192);
    EXPECT_FALSE(std::equal(before.begin(), before.begin() + 8192, out));
    EXPECT_TRUE(std::equal(before.begin() + 8192, before.end(), out + 8192));
}

TEST_F(EmulatedNpuTest, RefusesAHalfWrittenOpcode) {
    set(0, std::uint64_t{0xA5A5A5A500000003});
    expect_refused("opcode 0xa5a5a5a500000003");
}

TEST_F(EmulatedNpuTest, RefusesAddressesWhereNothingIsMapped) {
    set(20, npu_.address(arguments_[0]) + (1 << 16));
    expect_refused("argument 3: nothing is mapped");
    set(20, std::uint64_t{0});
    expect_refused("argument 3: nothing is mapped");
}

TEST_F(EmulatedNpuTest, RefusesArgumentsOfAnotherKindOrTooShort) {
    set(20, npu_.address(instructions_));
    expect_refused("argument 3 lies in a buffer of another kind");
    set(20, npu_.address(arguments_[0]) + 60000);
    expect_refused("left ends at byte");
}

TEST_F(EmulatedNpuTest, RefusesInstructionsThatAreNotAllThere) {
    set(16, static_cast<std::uint32_t>(program_.instructions.size() * 4));  // bytes for words
    expect_refused("instruction words in a buffer of");
    set(16, std::uint32_t{5});
    expect_refused("it ends too early");
}

TEST_F(EmulatedNpuTest, RefusesInstructionsThatWereNotSent) {
    const unsigned unsent = allocate(program_.instructions.size() * 4, MemoryKind::instructions);
    std::memcpy(npu_.host(unsent), program_.instructions.data(), program_.instructions.size() * 4);
    set(8, npu_.address(unsent));
    expect_refused("it is not the program of a launch");
}

TEST_F(EmulatedNpuTest, HasTheLimitsOfADriver) {
    EXPECT_THROW(npu_.send(arguments_[0], 1 << 16, 1), std::system_error);
    EXPECT_THROW(npu_.release(9999), std::system_error);
    for (int i = 0; i < EmulatedNpu::contexts; ++i) {
        npu_.open_context();
    }
    EXPECT_THROW(npu_.open_context(), std::system_error);
    for (int i = 0; i < EmulatedNpu::contexts; ++i) {
        npu_.close_context();
    }
    npu_.delay_randomly(std::chrono::milliseconds(200));
    const int before = ended();
    std::size_t queued = 0;
    try {
        for (; queued < 6; ++queued) {
            submit(1);
        }
    } catch (const std::system_error&) {
        EXPECT_GE(queued, EmulatedNpu::commands);
    }
    EXPECT_LT(queued, 6U);
    while (ended() < before + static_cast<int>(queued)) {
        std::this_thread::yield();
    }
    npu_.heal();
}

TEST_F(EmulatedNpuTest, RunsAListAsOneCommand) {
    const NpuStatistics before = npu_.statistics();
    EXPECT_EQ(run(EmulatedNpu::runs), std::pair(Outcome::completed, std::string()));
    EXPECT_EQ(npu_.statistics().commands - before.commands, 1);
    EXPECT_EQ(npu_.statistics().runs - before.runs, std::int64_t{EmulatedNpu::runs});
    EXPECT_THROW(submit(EmulatedNpu::runs + 1), std::system_error);
    EXPECT_THROW(submit(0), std::system_error);
}

// Behind a run that fails nothing of the list is run: the output keeps what it held.
TEST_F(EmulatedNpuTest, AListEndsAtTheRunThatFails) {
    EXPECT_EQ(run(), std::pair(Outcome::completed, std::string()));
    npu_.fetch(arguments_[2], 0, 8192);
    const std::vector<std::byte> result(npu_.host(arguments_[2]), npu_.host(arguments_[2]) + 8192);
    std::fill_n(npu_.host(arguments_[2]), 8192, std::byte{0});
    npu_.send(arguments_[2], 0, 8192);
    for (const int nth : {1, 2, 5}) {
        npu_.plan(Fault::error, nth);
        EXPECT_EQ(run(5), std::pair(Outcome::error, std::string()));
        EXPECT_EQ(last_failed(), static_cast<std::size_t>(nth - 1));
        npu_.fetch(arguments_[2], 0, 8192);
        EXPECT_EQ(std::equal(result.begin(), result.end(), npu_.host(arguments_[2])), nth > 1);
    }
}

TEST_F(EmulatedNpuTest, SeesTransfersAndReleasesOfBuffersInUse) {
    npu_.delay_randomly(std::chrono::milliseconds(500));
    const int before = ended();
    submit(1);
    npu_.fetch(arguments_[2], 0, 16);
    EXPECT_THAT(npu_.take_violations(), HasSubstr("in use"));
    while (ended() == before) {
        std::this_thread::yield();
    }
    npu_.heal();
    npu_.fetch(arguments_[2], 0, 16);
    EXPECT_EQ(npu_.take_violations(), "");
}

}  // namespace
}  // namespace npu_impl::xrt_emulation
