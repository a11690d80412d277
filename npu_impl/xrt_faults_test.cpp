// Faults of the NPU behind the genuine XRT: each is an error with a name, or a result that its reader can
// tell from a right one; the device can be used after it, and nothing is left behind.
#include <fstream>

#include "datasets/sha256.hpp"
#include "npu_impl/artefacts.hpp"
#include "npu_impl/xrt_emulation/warning.hpp"
#include "npu_impl/xrt_emulation/xclbin_writer.hpp"
#include "npu_impl/xrt_layer_test.hpp"

#ifdef __SANITIZE_ADDRESS__
// LeakSanitizer's walk of thread-local memory does not survive libraries that are opened at run time, and the
// loader keeps the list that it made for them.
extern "C" const char* __lsan_default_options();
extern "C" const char* __lsan_default_options() {
    return "use_tls=0";
}
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
    return "leak:add_to_global_resize";
}
#endif

namespace npu_impl {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using xrt_emulation::Fault;

class XrtFaultsTest : public XrtTest {
protected:
    XrtFaultsTest() { compile(design_, layer_.shape); }

    Computed compute(Device& device) { return compute_attention(device, design_, layer_); }

    const Design& design_ = *find_design("unfused");
    LayerCase layer_ = random_layer({130, 2}, 21);
    Computed wanted_ = compute_emulated(design_, layer_);
};

struct Ending {
    Fault fault;
    std::string message;
};

// A launch that ends otherwise than COMPLETED, or not at all, is an error that names it; the next is run in
// a new context.
TEST_F(XrtFaultsTest, ALaunchThatFailsIsNamedAndTheNextOneRuns) {
    const std::vector<Ending> endings{{Fault::error, "ended as ERROR"},
                                      {Fault::aborted, "ended as ABORT"},
                                      {Fault::timed_out, "ended as TIMEOUT"},
                                      {Fault::context_lost, "ended as ERROR"},
                                      {Fault::never_ends, "did not end within 300 ms; --timeout-ms"}};
    const auto device = open(std::chrono::milliseconds(300));
    for (const Ending& ending : endings) {
        SCOPED_TRACE(ending.message);
        for (const int nth : {1, 4}) {
            npu().plan(ending.fault, nth);
            EXPECT_THAT(
                [&] { compute(*device); },
                ThrowsMessage<DeviceError>(AllOf(HasSubstr("design unfused: kernel "), HasSubstr("launch "),
                                                 HasSubstr("(artefact "), HasSubstr(ending.message))));
            EXPECT_EQ(different_bits(compute(*device), wanted_), 0);
        }
    }
    npu().heal();  // lets go of what never ended
}

// A device that is closed, and a process that ends, while something still runs.
TEST_F(XrtFaultsTest, ALaunchThatNeverEndsOutlivesItsDevice) {
    {
        const auto device = open(std::chrono::milliseconds(50));
        npu().plan(Fault::never_ends, 1);
        EXPECT_THROW(compute(*device), DeviceError);
    }
    const auto device = open();
    EXPECT_EQ(different_bits(compute(*device), wanted_), 0);
    npu().heal();
}

// No state can tell these: the data does. Whoever poisons outputs sees what was not written as NaN.
TEST_F(XrtFaultsTest, CompletedWithoutDataLeavesThePoison) {
    const auto device = open();
    npu().plan(Fault::nothing_written, 2);
    const Computed got = compute(*device);
    EXPECT_GE(unwritten(got), layer_.shape.context * layer_.shape.width());
}

TEST_F(XrtFaultsTest, StaleDataAndFlippedBitsDiffer) {
    const auto device = open();
    ASSERT_EQ(different_bits(compute(*device), wanted_), 0);
    layer_ = random_layer(layer_.shape, 22);
    const Computed other = compute_emulated(design_, layer_);
    npu().plan(Fault::stale, 1);
    const Computed stale = compute(*device);
    EXPECT_EQ(unwritten(stale), 0);
    EXPECT_GT(different_bits(stale, other), 1000);
    npu().plan(Fault::bit_flipped, 7);
    EXPECT_GE(different_bits(compute(*device), other), 1);
    EXPECT_EQ(different_bits(compute(*device), other), 0);
}

TEST_F(XrtFaultsTest, AFailedAllocationIsNamedAndLeavesNothing) {
    const auto device = open();
    for (const int nth : {1, 2, 5}) {
        npu().fail_allocation(nth);
        EXPECT_THAT([&] { compute(*device); }, ThrowsMessage<DeviceError>(HasSubstr("cannot allocate")));
    }
    EXPECT_EQ(different_bits(compute(*device), wanted_), 0);
}

TEST_F(XrtFaultsTest, ARefusedContextIsNamed) {
    for (const int nth : {1, 2}) {
        npu().refuse_context(nth);
        const auto device = open();
        EXPECT_THAT(
            [&] { compute(*device); },
            ThrowsMessage<DeviceError>(AllOf(HasSubstr("cannot open "), HasSubstr("is the NPU busy?"))));
        EXPECT_EQ(different_bits(compute(*device), wanted_), 0);
    }
}

// XRT warns and copies where a buffer lies in another bank than the kernel's: what comes back is stale.
TEST_F(XrtFaultsTest, AWarningOfXrtIsAnError) {
    std::vector<Artefact> artefacts = read_artefacts(folder_);
    Artefact& moved = artefacts.back();
    const std::vector<std::byte> old = load_artefact(folder_, moved).xclbin;
    const Xclbin read = read_xclbin("", old);
    const std::vector<std::byte> xclbin = xrt_emulation::write_xclbin(
        {"MLIR_AIE", std::vector<int>(6, 2), 4, {read.images[0].begin(), read.images[0].end()}, {}});
    moved.xclbin = "moved.xclbin";
    moved.xclbin_sha256 = datasets::sha256_hex(xclbin);
    std::ofstream(folder_ + "/moved.xclbin", std::ios::binary)
        .write(reinterpret_cast<const char*>(xclbin.data()), std::ssize(xclbin));
    write_artefacts(folder_, artefacts);
    const auto device = open();
    EXPECT_THAT([&] { compute(*device); },
                ThrowsMessage<DeviceError>(AllOf(HasSubstr("XRT warns"), HasSubstr("bank"))));
    (void)npu().take_violations();
}

// Of the last transfers of a run nobody else would hear.
TEST_F(XrtFaultsTest, AWarningOfATransferIsAnErrorOfThatTransfer) {
    const auto device = open();
    const Buffer buffer = device->allocate(64);
    for (const Direction direction : {Direction::to_device, Direction::from_device}) {
        xrt_emulation::warn("copied in pieces");
        EXPECT_THAT([&] { device->sync(buffer, direction, 0, 64); },
                    ThrowsMessage<DeviceError>(
                        AllOf(HasSubstr("sync of buffer 0: XRT warns: "), HasSubstr("copied in pieces"))));
        EXPECT_NO_THROW(device->sync(buffer, direction, 0, 64)) << "it is told once";
    }
}

// Asking for the name of the NPU discards what XRT warns of while it looks for an answer, nothing else.
TEST_F(XrtFaultsTest, AWarningIsNotLostWhenTheIdentityIsAsked) {
    const auto device = open();
    xrt_emulation::warn("a buffer was moved");
    EXPECT_THAT([&] { (void)device->npu(); },
                ThrowsMessage<DeviceError>(AllOf(HasSubstr("XRT warns: "), HasSubstr("a buffer was moved"))));
    EXPECT_NO_THROW((void)device->npu());
}

}  // namespace
}  // namespace npu_impl
