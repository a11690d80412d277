// Which tiling of a product fits a device, and which of those is fastest by the time model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "npu_impl/cost_model.hpp"

namespace npu_impl {

// What a tiling asks too much of, e.g. {"memory tile", 786432, 524288, "bytes"}; of an alignment, what it is
// and what it must be a multiple of.
struct LimitBreach {
    std::string limit;
    std::int64_t asked = 0;
    std::int64_t available = 0;
    std::string unit;
};

// "needs 786432 of 524288 bytes of a memory tile", "m is 60: not a multiple of 16"
std::string describe(const LimitBreach& breach);

// The first limit of the device that the job breaks: cores; the register blocks of the vector kernel, 16 x 8
// x 16 (4 x 4 blocks of 4x8x4: mlir-aie aie_kernels/aie2/mm.cc, matmul_vectorized_4x4); L1 with operand tiles
// twice; the memory tile with what it stages twice; words of one descriptor; counts of one dimension; the
// descriptors of a core, of a channel of a memory tile, and of a shim.
std::optional<LimitBreach> find_breach(const GemmJob& job, const DeviceSpec& spec);

// The tiling nearest to the job's, by the sum of the ratios' logarithms, that breaks nothing; nothing where
// none does.
std::optional<GemmTiling> nearest_fit(const GemmJob& job, const DeviceSpec& spec);

struct TunedGemm {
    GemmJob job;
    Cost cost;
    int refused = 0;    // tilings that break a limit
    int simulated = 0;  // the others, but for those whose bound was no better than the best so far
};

// The fastest of all tilings of m and n in multiples of 16 up to 256 and k, which the memory tiles stage, of
// 32 to 512, doubled. Of batches, the job's own: all blocks in one launch are never slower than fewer, since
// no limit is one of a launch. Throws std::invalid_argument where none fits.
TunedGemm tune(GemmJob job, const CostModel& model);

}  // namespace npu_impl
