// The path through the genuine XRT library computes the bits of the emulated device, and every mistake that a
// host program can make shows. The NPU is in this process (xrt_emulation/emulated_npu.hpp).
#include "npu_impl/xrt_device.hpp"

#include "datasets/recording.hpp"
#include "npu_impl/artefacts.hpp"
#include "npu_impl/device_decorator.hpp"
#include "npu_impl/launch_program.hpp"
#include "npu_impl/pass_through.hpp"
#include "npu_impl/xrt_layer_test.hpp"

namespace npu_impl {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

using xrt_emulation::Fault;

class XrtDeviceTest : public XrtTest {};

const Design& unfused() {
    return *find_design("unfused");
}

TEST_F(XrtDeviceTest, ComputesTheBitsOfTheEmulatedDeviceInEveryDesign) {
    const auto before = npu().statistics();
    std::int64_t launches = 0;
    for (const LayerShape shape : {LayerShape{1, 1}, LayerShape{64, 2}, LayerShape{130, 3}}) {
        const LayerCase layer = random_layer(shape, 5);
        for (const Design* design : attention_designs()) {
            SCOPED_TRACE(design->name);
            compile(*design, shape);
            const Computed wanted = compute_emulated(*design, layer);
            const auto device = open();
            const Computed got = compute_attention(*device, *design, layer);
            EXPECT_EQ(different_bits(got, wanted), 0);
            ASSERT_EQ(got.parts.size(), wanted.parts.size());
            for (std::size_t i = 0; i < got.parts.size(); ++i) {
                EXPECT_EQ(got.parts[i].launches, wanted.parts[i].launches);
                EXPECT_EQ(got.parts[i].tiles, wanted.parts[i].tiles);
                EXPECT_EQ(got.parts[i].bytes, wanted.parts[i].bytes);
                launches += got.parts[i].launches;
            }
        }
    }
    EXPECT_EQ(npu().statistics().runs - before.runs, launches);
    EXPECT_GT(launches, 1000);
    EXPECT_GT(npu().statistics().most_in_flight, 1);
    EXPECT_LE(npu().statistics().most_in_flight, 4);
}

TEST_F(XrtDeviceTest, GivesTheSameBitsTwiceAndBesideDelays) {
    const LayerCase layer = random_layer({130, 2}, 9);
    compile(unfused(), layer.shape);
    const Computed wanted = compute_emulated(unfused(), layer);
    const auto device = open();
    EXPECT_EQ(different_bits(compute_attention(*device, unfused(), layer), wanted), 0);
    npu().delay_randomly(std::chrono::milliseconds(5));
    EXPECT_EQ(different_bits(compute_attention(*device, unfused(), layer), wanted), 0);
}

class BrokenSync final : public DeviceDecorator {
public:
    enum class Kind : std::uint8_t { missing, short_range };
    BrokenSync(Device& inner, Direction direction, std::int64_t nth, Kind kind)
        : DeviceDecorator(inner), direction_(direction), nth_(nth), kind_(kind) {}

    void sync(Buffer buffer, Direction direction, std::int64_t offset, std::int64_t bytes) override {
        if (direction == direction_ && bytes > 4096 && nth_-- == 0) {
            if (kind_ == Kind::short_range) {
                DeviceDecorator::sync(buffer, direction, offset, bytes / 2);
            }
            return;
        }
        DeviceDecorator::sync(buffer, direction, offset, bytes);
    }

private:
    Direction direction_;
    std::int64_t nth_;
    Kind kind_;
};

TEST_F(XrtDeviceTest, AMissingOrShortTransferShowsInTheResult) {
    const LayerCase layer = random_layer({64, 2}, 9);
    compile(unfused(), layer.shape);
    const Computed wanted = compute_emulated(unfused(), layer);
    for (const Direction direction : {Direction::to_device, Direction::from_device}) {
        for (const auto kind : {BrokenSync::Kind::missing, BrokenSync::Kind::short_range}) {
            const auto device = open();
            BrokenSync broken(*device, direction, 0, kind);
            EXPECT_GT(different_bits(compute_attention(broken, unfused(), layer), wanted), 0);
        }
    }
}

TEST_F(XrtDeviceTest, AnArgumentInTheWrongPlaceShows) {
    const LayerCase layer = random_layer({64, 2}, 9);
    compile(unfused(), layer.shape);
    const Computed wanted = compute_emulated(unfused(), layer);
    std::vector<Artefact> artefacts = read_artefacts(folder_);
    for (Artefact& artefact : artefacts) {
        std::swap(artefact.arguments.buffers[0], artefact.arguments.buffers[1]);
    }
    write_artefacts(folder_, artefacts);
    const auto device = open();
    std::int64_t different = 0;
    try {
        different = different_bits(compute_attention(*device, unfused(), layer), wanted);
    } catch (const std::exception&) {
        different = -1;  // the swapped argument was too short for what the program does to it
    }
    EXPECT_NE(different, 0);
    (void)npu().take_violations();
}

TEST_F(XrtDeviceTest, PassesATileThroughACore) {
    compile(*find_design("tile64"), {64, 1});
    const auto device = open();
    EXPECT_EQ(pass_through(*device), 0);
    EXPECT_EQ(device->counters().launches, 1);
    for (const auto& [fault, wrong] :
         {std::pair{Fault::nothing_written, 4096}, std::pair{Fault::bit_flipped, 1}}) {
        npu().plan(fault, 1);
        EXPECT_EQ(pass_through(*device), wrong);
    }
    npu().plan(Fault::error, 1);
    EXPECT_THROW(pass_through(*device), DeviceError);
    EXPECT_EQ(pass_through(*device), 0);
}

TEST_F(XrtDeviceTest, ALaunchWithoutAnArtefactNamesItsProgram) {
    compile(unfused(), {64, 2});
    const LayerCase layer = random_layer({65, 2}, 9);
    const auto device = open();
    const std::string missing = planned_programs(unfused(), layer.shape).front().program;
    EXPECT_THAT([&] { compute_attention(*device, unfused(), layer); },
                ThrowsMessage<DeviceError>(AllOf(HasSubstr(folder_), HasSubstr("kernel matmul_bf16_bf16"),
                                                 HasSubstr(missing), HasSubstr("harness artefact add"))));
    EXPECT_EQ(device->counters().launches, 0);
}

TEST_F(XrtDeviceTest, RefusesFoldersThatServeNothing) {
    EXPECT_THAT(
        [] {
            open_xrt_device({"", std::chrono::seconds(1), 0});
        },
        ThrowsMessage<DeviceError>(HasSubstr("--artefacts")));
    EXPECT_THAT([&] { open(); }, ThrowsMessage<datasets::ReadError>(HasSubstr("artefacts.json")));
    write_artefacts(folder_, {});
    EXPECT_THAT([&] { open(); }, ThrowsMessage<DeviceError>(HasSubstr("no artefact in it serves")));
}

TEST_F(XrtDeviceTest, RefusesWhatTheHostMayNotDo) {
    compile(unfused(), {64, 1});
    const auto device = open();
    EXPECT_THROW(device->allocate(0), DeviceError);
    const Buffer buffer = device->allocate(256);
    EXPECT_THROW(device->map({17}), DeviceError);
    EXPECT_THROW(device->sync(buffer, Direction::to_device, 200, 100), DeviceError);
    EXPECT_THROW(device->sync(buffer, Direction::to_device, -1, 1), DeviceError);
    EXPECT_NO_THROW(device->sync(buffer, Direction::to_device, 0, 256));
    Launch launch = planned_launches(unfused(), {64, 1}).front();
    std::ranges::fill(launch.buffers, buffer);
    EXPECT_THAT(
        [&] {
            device->submit({&launch, 1});
        },
        ThrowsMessage<DeviceError>(HasSubstr("of buffer 0, which has 256")));
    device->release(buffer);
    EXPECT_THROW(device->release(buffer), DeviceError);
}

TEST_F(XrtDeviceTest, RefusesTransfersOfBuffersInFlight) {
    compile(unfused(), {64, 1});
    const auto device = open();
    Launch launch = planned_launches(unfused(), {64, 1}).front();
    for (Buffer& buffer : launch.buffers) {
        buffer = device->allocate(1 << 20);
    }
    npu().delay_randomly(std::chrono::milliseconds(20));
    device->submit({&launch, 1});
    const Buffer used = launch.buffers.front();
    EXPECT_THROW(device->sync(used, Direction::from_device, 0, 4), DeviceError);
    EXPECT_THROW(device->release(used), DeviceError);
    device->wait();
    EXPECT_NO_THROW(device->sync(used, Direction::from_device, 0, 4));
    EXPECT_EQ(device->counters().launches, 1);
}

TEST_F(XrtDeviceTest, SaysThatThereIsNoNpu) {
    compile(unfused(), {64, 1});
    npu().remove();
    EXPECT_THAT([&] { open(); },
                ThrowsMessage<DeviceError>(AllOf(HasSubstr("cannot open NPU 0"), HasSubstr("no such NPU"))));
}

}  // namespace
}  // namespace npu_impl
