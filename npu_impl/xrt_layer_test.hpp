// For the tests of the XRT path: a folder of artefacts, the NPU of this process, and a layer computed on a
// device.
#pragma once

#include <gmock/gmock.h>

#include <bit>
#include <chrono>
#include <filesystem>

#include "npu_impl/launch_catalogue.hpp"
#include "npu_impl/npu_path.hpp"
#include "npu_impl/plain_layer_test.hpp"
#include "npu_impl/xrt_device.hpp"
#include "npu_impl/xrt_emulation/artefact_writer.hpp"
#include "npu_impl/xrt_emulation/emulated_npu.hpp"

namespace npu_impl::testing {

using xrt_emulation::EmulatedNpu;

// A folder that is gone with the test, and an NPU without faults, before and after. No test leaves anything
// on it, nor does anything that no host program may do.
class XrtTest : public ::testing::Test {
protected:
    XrtTest() {
        std::string name = (std::filesystem::temp_directory_path() / "artefacts_XXXXXX").string();
        folder_ = mkdtemp(name.data());
        npu().heal();
        (void)npu().take_violations();
    }
    ~XrtTest() override {
        EXPECT_EQ(npu().statistics().buffers, 0);
        EXPECT_EQ(npu().take_violations(), "");
        npu().heal();
        std::filesystem::remove_all(folder_);
    }

    static EmulatedNpu& npu() { return EmulatedNpu::instance(); }

    void compile(const Design& design, LayerShape shape) {
        xrt_emulation::write_artefacts_for(folder_, planned_launches(design, shape));
    }

    std::unique_ptr<Device> open(std::chrono::milliseconds limit = std::chrono::seconds(20)) {
        return open_device("xrt", datasets::Emulation::exact, {folder_, limit, 0});
    }

    std::string folder_;
};

struct Computed {
    Tensors tensors;
    std::vector<datasets::Part> parts;
};

// The attention of a layer whose input is all that lies upstream.
inline Computed compute_attention(Device& device, const Design& design, const LayerCase& layer) {
    NpuPath path(device, design);
    const Tensors upstream{{Op::attention_norm, layer.input}};
    const TensorSource source(layer.shape, upstream);
    KeepingSink sink(layer.shape);
    const auto prepared = path.prepare(layer);
    auto parts = prepared->compute({datasets::attention_ops, -1}, source, sink);
    return {std::move(sink.tensors), std::move(parts)};
}

inline Computed compute_emulated(const Design& design, const LayerCase& layer) {
    const auto device = open_device("emulated", datasets::Emulation::exact);
    return compute_attention(*device, design, layer);
}

// Elements of all ops whose bits differ.
inline std::int64_t different_bits(const Computed& got, const Computed& wanted) {
    std::int64_t different = 0;
    EXPECT_EQ(got.tensors.size(), wanted.tensors.size());
    for (const auto& [op, values] : wanted.tensors) {
        const std::vector<float>& others = got.tensors.at(op);
        EXPECT_EQ(others.size(), values.size());
        for (std::size_t i = 0; i < std::min(values.size(), others.size()); ++i) {
            different +=
                std::bit_cast<std::uint32_t>(values[i]) == std::bit_cast<std::uint32_t>(others[i]) ? 0 : 1;
        }
    }
    return different;
}

inline std::int64_t unwritten(const Computed& computed) {
    std::int64_t count = 0;
    for (const auto& [op, values] : computed.tensors) {
        count += std::ranges::count_if(values, [](float value) { return std::isnan(value); });
    }
    return count;
}

}  // namespace npu_impl::testing
