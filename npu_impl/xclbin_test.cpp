// The reader of xclbins: it reads what the test's writer makes, and refuses anything cut, changed or of
// another kind before XRT would see it.
#include "npu_impl/xclbin.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "datasets/recording.hpp"
#include "npu_impl/xrt_emulation/xclbin_writer.hpp"

namespace npu_impl {
namespace {

using datasets::ReadError;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using xrt_emulation::write_xclbin;
using xrt_emulation::XclbinContent;

using Bytes = std::vector<std::byte>;

const KernelArguments three_buffers{0, 1, 2, {3, 4, 5}};

Bytes image() {
    return Bytes(100, std::byte{7});
}

XclbinContent content() {
    return {"MLIR_AIE", {0, 0, 0}, 4, image(), {}};
}

template <typename Number>
Bytes with(Bytes bytes, std::size_t offset, Number value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
    return bytes;
}

auto reading(Bytes bytes) {
    return [bytes] { read_xclbin("x.xclbin", bytes); };
}

TEST(XclbinTest, ReadsBackWhatWasWritten) {
    const Bytes bytes = write_xclbin(content());
    const Xclbin xclbin = read_xclbin("x.xclbin", bytes);
    EXPECT_THAT(xclbin.banks, ElementsAre("HOST", "SRAM", "OTHER"));
    EXPECT_EQ(xclbin.columns, 4);
    EXPECT_EQ(xclbin.uuid.size(), 32U);
    ASSERT_EQ(xclbin.images.size(), 1U);
    EXPECT_TRUE(std::ranges::equal(xclbin.images[0], image()));
    const XclbinKernel& kernel = find_kernel(xclbin, "x.xclbin", "MLIR_AIE", three_buffers);
    ASSERT_EQ(kernel.arguments.size(), 6U);
    EXPECT_EQ(kernel.arguments[0].name, "opcode");
    EXPECT_FALSE(kernel.arguments[0].buffer);
    EXPECT_EQ(kernel.arguments[2].bytes, 4);
    EXPECT_EQ(kernel.arguments[4].offset, 0x1C);
    EXPECT_THAT(kernel.arguments[1].banks, ElementsAre(1));
    EXPECT_THAT(kernel.arguments[5].banks, ElementsAre(0));
}

TEST(XclbinTest, RefusesAnyThatIsCut) {
    const Bytes whole = write_xclbin(content());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_THROW(read_xclbin("x.xclbin", cut), ReadError) << size;
        if (size >= 312) {
            // The header agrees with the cut file: only the sections tell.
            EXPECT_THROW(read_xclbin("x.xclbin", with(cut, 304, std::uint64_t{size})), ReadError) << size;
        }
    }
}

TEST(XclbinTest, ReadsOrRefusesAnyBytes) {
    const Bytes whole = write_xclbin(content());
    std::mt19937 random(3);
    std::int64_t refused = 0;
    for (int i = 0; i < 30000; ++i) {
        Bytes changed = whole;
        for (int k = 0; k < 1 + i % 3; ++k) {
            changed[random() % changed.size()] = static_cast<std::byte>(random());
        }
        try {
            const Xclbin xclbin = read_xclbin("x.xclbin", changed);
            (void)find_kernel(xclbin, "x.xclbin", "MLIR_AIE", three_buffers);
        } catch (const ReadError& error) {
            EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("\n")));
            ++refused;
        }
    }
    EXPECT_GT(refused, 1000);
}

TEST(XclbinTest, NamesWhatIsMissing) {
    const std::vector<std::pair<std::uint32_t, std::string>> sections{
        {6, "MEM_TOPOLOGY"}, {8, "IP_LAYOUT"}, {7, "CONNECTIVITY"}, {2, "EMBEDDED_METADATA"}};
    for (const auto& [kind, name] : sections) {
        XclbinContent changed = content();
        changed.without = {kind};
        EXPECT_THAT(reading(write_xclbin(changed)),
                    ThrowsMessage<ReadError>(AllOf(HasSubstr("x.xclbin"), HasSubstr(name))));
    }
    XclbinContent other = content();
    other.without = {32};
    EXPECT_THAT(reading(write_xclbin(other)), ThrowsMessage<ReadError>(HasSubstr("another architecture")));
}

TEST(XclbinTest, NamesWhatLies) {
    const Bytes whole = write_xclbin(content());
    EXPECT_THAT(reading(Bytes(1000)), ThrowsMessage<ReadError>(HasSubstr("is no xclbin")));
    EXPECT_THAT(reading(with(whole, 304, std::uint64_t{100})),
                ThrowsMessage<ReadError>(HasSubstr("says that it has 100 bytes")));
    EXPECT_THAT(reading(with(whole, 448, std::uint32_t{0})),
                ThrowsMessage<ReadError>(HasSubstr("0 sections")));
    // The first section of the table: its offset, then its size.
    EXPECT_THAT(reading(with(whole, 456 + 24, ~std::uint64_t{0})),
                ThrowsMessage<ReadError>(HasSubstr("section 0 of 5")));
    EXPECT_THAT(reading(with(whole, 456 + 32, std::uint64_t{1} << 40)),
                ThrowsMessage<ReadError>(HasSubstr("section 0 of 5")));
}

TEST(XclbinTest, HoldsTheArgumentsToTheKernel) {
    const Bytes bytes = write_xclbin(content());
    const Xclbin xclbin = read_xclbin("x.xclbin", bytes);
    const auto finding = [&](std::string kernel, KernelArguments arguments) {
        return [&xclbin, kernel, arguments] { find_kernel(xclbin, "x.xclbin", kernel, arguments); };
    };
    EXPECT_THAT(finding("other", three_buffers),
                ThrowsMessage<ReadError>(AllOf(HasSubstr("'other'"), HasSubstr("it has: MLIR_AIE"))));
    EXPECT_THAT(finding("MLIR_AIE", {2, 1, 0, {3}}), ThrowsMessage<ReadError>(HasSubstr("64-bit opcode")));
    EXPECT_THAT(finding("MLIR_AIE", {0, 2, 1, {3}}), ThrowsMessage<ReadError>(HasSubstr("argument 2")));
    EXPECT_THAT(finding("MLIR_AIE", {0, 1, 2, {3, 6}}), ThrowsMessage<ReadError>(HasSubstr("argument 6")));
    EXPECT_THAT(finding("MLIR_AIE", {0, 1, 2, {-1}}), ThrowsMessage<ReadError>(HasSubstr("argument -1")));
    XclbinContent split = content();
    split.buffer_banks = {0, 2, 0};
    const Bytes other = write_xclbin(split);
    EXPECT_THAT([&] { find_kernel(read_xclbin("x.xclbin", other), "x.xclbin", "MLIR_AIE", three_buffers); },
                ThrowsMessage<ReadError>(HasSubstr("same bank")));
}

}  // namespace
}  // namespace npu_impl
