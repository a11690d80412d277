// What the device xrt says of time and of what it handed over: every call is booked, launches of one context
// go together where XRT has run lists, and a fault in a list has a name. Behind both flows of the genuine
// XRT.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "npu_impl/launch_program.hpp"
#include "npu_impl/npu_identity.hpp"
#include "npu_impl/xrt_layer_test.hpp"

namespace npu_impl {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using xrt_emulation::Fault;

class XrtTimeTest : public XrtTest {
protected:
    XrtTimeTest() { compile(design_, layer_.shape); }

    // The first launch of the layer, so many times, on buffers of its own.
    std::vector<Launch> equal_launches(Device& device, std::size_t count) const {
        Launch launch = planned_launches(design_, layer_.shape).front();
        for (Buffer& buffer : launch.buffers) {
            buffer = device.allocate(1 << 20);
        }
        return std::vector<Launch>(count, launch);
    }

    const Design& design_ = *find_design("unfused");
    LayerCase layer_ = random_layer({64, 2}, 31);
};

TEST_F(XrtTimeTest, NamesOfHardwareAreThoseOfItsDriver) {
    for (const char* name : {"RyzenAI-npu1", "RyzenAI-npu4", "NPU Strix", "NPU Strix Halo"}) {
        EXPECT_TRUE(is_hardware_name(name)) << name;
    }
    for (const char* name : {"", "emulated NPU", "NPU", "xilinx_u250_gen3x16", "my NPU Strix"}) {
        EXPECT_FALSE(is_hardware_name(name)) << name;
    }
}

TEST_F(XrtTimeTest, PowerModesAreReadFromReportsOnly) {
    EXPECT_EQ(power_mode_in(R"({"platforms":[{"status":{"power_mode":"turbo"}}]})"), "turbo");
    for (const char* text : {"", "{", "[]", "{}", R"({"platforms":{}})", R"({"platforms":[]})",
                             R"({"platforms":[{"status":{"power_mode":3}}]})", R"({"platforms":["x"]})"}) {
        EXPECT_EQ(power_mode_in(text), not_told) << text;
    }
}

TEST_F(XrtTimeTest, VersionsAreReadOfRuntimeAndFirmware) {
    EXPECT_EQ(xrt_version_in(R"({"version":"2.13.0","branch":"b"})"), "2.13.0");
    for (const char* text : {"", "[]", "{}", R"({"version":2})"}) {
        EXPECT_EQ(xrt_version_in(text), not_told) << text;
    }
    const std::filesystem::path root = ::testing::TempDir() + "firmware";
    const std::filesystem::path device = root / "sys/bus/pci/devices/0000:c5:00.1";
    std::filesystem::create_directories(device);
    EXPECT_EQ(firmware_version(root.string(), "0000:c5:00.1"), not_told);
    std::ofstream(device / "fw_version") << "1.5.2.380\n";
    EXPECT_EQ(firmware_version(root.string(), "0000:c5:00.1"), "1.5.2.380");
    EXPECT_EQ(firmware_version(root.string(), ""), not_told);
    std::filesystem::remove_all(root);
}

// The NPU of these tests is none: whatever is measured is measured of an emulation.
TEST_F(XrtTimeTest, AnEmulatedNpuNeverClaimsTheTimeOfHardware) {
    const auto device = open();
    ASSERT_TRUE(device->npu());
    EXPECT_THAT(device->npu()->xrt, ::testing::StartsWith("2."));
    EXPECT_EQ(device->npu()->firmware, not_told);
    EXPECT_FALSE(device->npu()->hardware);
    EXPECT_EQ(device->clock(), datasets::Clock::emulation_wall);
    for (const datasets::Part& part : compute_attention(*device, design_, layer_).parts) {
        EXPECT_EQ(part.clock, datasets::Clock::emulation_wall);
    }
    if (xrt_flow() == "hardware contexts") {
        EXPECT_EQ(device->npu()->name, EmulatedNpu::name);
        EXPECT_EQ(device->npu()->power_mode, "balanced");
        EXPECT_EQ(device->npu()->most_launches_at_once, 24);
    } else {
        EXPECT_EQ(device->npu()->name, "");
        EXPECT_EQ(device->npu()->power_mode, not_told);
        EXPECT_EQ(device->npu()->most_launches_at_once, 1);
    }
}

TEST_F(XrtTimeTest, EveryCallIsBookedToAPart) {
    const auto device = open();
    const auto before = npu().statistics();
    compute_attention(*device, design_, layer_);
    const datasets::DeviceTime first = device->time();
    const std::vector<datasets::Part> parts = compute_attention(*device, design_, layer_).parts;
    datasets::DeviceTime sum;
    for (const datasets::Part& part : parts) {
        EXPECT_GT(part.device.submit_seconds, 0);
        EXPECT_GT(part.device.wait_seconds, 0);
        EXPECT_GT(part.device.to_device_seconds, 0);
        EXPECT_GT(part.device.from_device_seconds, 0);
        EXPECT_GE(part.device.submissions, 1);
        EXPECT_LE(part.device.submissions, part.launches);
        EXPECT_DOUBLE_EQ(part.seconds, part.device.total_seconds());
        sum += part.device;
    }
    const datasets::DeviceTime second = device->time() - first;
    EXPECT_EQ(sum.submissions, second.submissions);
    EXPECT_EQ(sum.switches, second.switches);
    // Weights are sent when the layer is prepared, before any part.
    EXPECT_LT(sum.to_device_seconds, second.to_device_seconds);
    EXPECT_NEAR(sum.submit_seconds, second.submit_seconds, 1e-9);
    EXPECT_NEAR(sum.wait_seconds, second.wait_seconds, 1e-9);
    EXPECT_NEAR(sum.from_device_seconds, second.from_device_seconds, 1e-9);
    EXPECT_EQ(npu().statistics().commands - before.commands, device->time().submissions);
}

TEST_F(XrtTimeTest, ALaunchInAnotherXclbinIsASwitch) {
    const std::vector<Launch> launches = planned_launches(design_, layer_.shape);
    std::int64_t switches = 0;
    std::vector<std::uint32_t> last;
    for (const Launch& launch : launches) {
        const std::vector<std::uint32_t> kernel = bind_program(launch).program.kernel;
        switches += kernel == last ? 0 : 1;
        last = kernel;
    }
    ASSERT_GT(switches, 2);
    const auto device = open();
    compute_attention(*device, design_, layer_);
    EXPECT_EQ(device->time().switches, switches);
}

TEST_F(XrtTimeTest, WaitingIsNotSubmitting) {
    const auto device = open();
    const std::vector<Launch> launches = equal_launches(*device, 8);
    device->submit(launches);
    device->wait();
    const datasets::DeviceTime before = device->time();
    npu().delay_randomly(std::chrono::milliseconds(60));
    for (int i = 0; i < 3; ++i) {
        device->submit(launches);
    }
    device->wait();
    const datasets::DeviceTime spent = device->time() - before;
    EXPECT_GT(spent.wait_seconds, 0.05);
    EXPECT_LT(spent.submit_seconds, spent.wait_seconds / 2);
}

TEST_F(XrtTimeTest, LaunchesOfOneContextGoTogetherWhereXrtHasLists) {
    const auto device = open();
    const auto most = static_cast<std::size_t>(device->npu()->most_launches_at_once);
    for (const std::size_t count : {1U, 2U, 24U, 25U, 60U}) {
        const auto before = npu().statistics();
        const datasets::DeviceTime time = device->time();
        device->submit(equal_launches(*device, count));
        device->wait();
        const auto submissions = static_cast<std::int64_t>((count + most - 1) / most);
        EXPECT_EQ(npu().statistics().commands - before.commands, submissions);
        EXPECT_EQ(npu().statistics().runs - before.runs, static_cast<std::int64_t>(count));
        EXPECT_EQ((device->time() - time).submissions, submissions);
    }
    EXPECT_EQ(device->counters().launches, 1 + 2 + 24 + 25 + 60);
    EXPECT_LE(npu().statistics().most_in_flight, std::int64_t{EmulatedNpu::commands});
}

// Launches of two kernels in turn: no list holds both.
TEST_F(XrtTimeTest, AListHoldsLaunchesOfOneContext) {
    const auto device = open();
    std::vector<Launch> launches = equal_launches(*device, 2);
    std::vector<Launch> all = planned_launches(design_, layer_.shape);
    const auto other = std::ranges::find_if(all, [&](const Launch& launch) {
        return bind_program(launch).program.kernel != bind_program(launches[0]).program.kernel;
    });
    ASSERT_NE(other, all.end());
    for (Buffer& buffer : other->buffers) {
        buffer = device->allocate(1 << 20);
    }
    launches.push_back(*other);
    launches.push_back(*other);
    const auto before = npu().statistics();
    device->submit(launches);
    device->wait();
    EXPECT_EQ(npu().statistics().commands - before.commands,
              device->npu()->most_launches_at_once > 1 ? 2 : 4);
    EXPECT_EQ(device->counters().launches, 4);
}

struct PlannedEnding {
    Fault fault;
    int nth;
    std::string ending;
};

// A run of a list that fails is named, those before it have run, and the device goes on in a new context.
TEST_F(XrtTimeTest, AFaultInAListNamesTheRun) {
    const std::vector<PlannedEnding> endings{{Fault::error, 1, "ended as ERROR"},
                                             {Fault::error, 26, "ended as ERROR"},
                                             {Fault::aborted, 10, "ended as ABORT"},
                                             {Fault::timed_out, 24, "ended as TIMEOUT"}};
    for (const PlannedEnding& planned : endings) {
        const auto device = open();
        const bool lists = device->npu()->most_launches_at_once > 1;
        const std::vector<Launch> launches = equal_launches(*device, 30);
        const auto run = [&] {
            device->submit(launches);
            device->wait();
        };
        npu().plan(planned.fault, planned.nth);
        const std::string place = planned.nth <= 24 ? fmt::format("run {} of a list of 24", planned.nth)
                                                    : fmt::format("run {} of a list of 6", planned.nth - 24);
        const std::string launch = fmt::format("launch {} of the device (", planned.nth - 1);
        EXPECT_THAT(run, ThrowsMessage<DeviceError>(AllOf(HasSubstr(planned.ending), HasSubstr(launch),
                                                          HasSubstr(lists ? place : ""))));
        EXPECT_EQ(device->counters().launches, planned.nth - 1);
        run();
        EXPECT_EQ(device->counters().launches, planned.nth - 1 + 30);
    }
}

// XRT does not tell how far a list came that did not end; the message says which launches it may be.
TEST_F(XrtTimeTest, AListThatDoesNotEndIsNamedByItsFirstLaunch) {
    {
        const auto device = open(std::chrono::milliseconds(300));
        const bool lists = device->npu()->most_launches_at_once > 1;
        const std::vector<Launch> launches = equal_launches(*device, 12);
        npu().plan(Fault::never_ends, 5);
        EXPECT_THAT(
            [&] {
                device->submit(launches);
                device->wait();
            },
            ThrowsMessage<DeviceError>(
                AllOf(HasSubstr("did not end within 300 ms"),
                      HasSubstr(lists ? "launch 0 of the device (" : "launch 4 of the device ("),
                      HasSubstr(lists ? "or one of the 11 behind it in a list" : ""))));
    }
    const auto device = open();
    device->submit(equal_launches(*device, 12));
    EXPECT_NO_THROW(device->wait());
    npu().heal();
}

// No state tells it, in a list as little as alone: the data does.
TEST_F(XrtTimeTest, ARunOfAListThatWritesNothingLeavesThePoison) {
    const auto device = open();
    npu().plan(Fault::nothing_written, 2);
    EXPECT_GT(unwritten(compute_attention(*device, design_, layer_)), 0);
}

}  // namespace
}  // namespace npu_impl
