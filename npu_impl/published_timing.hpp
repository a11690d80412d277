// Times that somebody measured on an NPU, as a table: one CSV row each, and how the time model reads a row.
//
// Columns, in any order: device, clock_ghz, cores, dtype_in, dtype_out, m, k, n, tile_mkn, gflops, time_us,
// conditions, source, and optionally equals_parameter: the field of a device specification that was taken
// from this very row, which therefore proves nothing. A row needs a device, a source, and gflops or time_us.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "npu_impl/cost_model.hpp"

namespace npu_impl {

// One line: file, line, field, what is wrong.
class TimingError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct PublishedTiming {
    std::int64_t line = 0;  // of its file
    std::string device;
    std::optional<double> clock_hz;
    std::optional<std::int64_t> cores;
    std::string dtype_in;
    std::string dtype_out;
    std::optional<MatmulShape> shape;
    std::optional<GemmTiling> tile;
    std::optional<double> gflops;  // 10^9 floating-point operations a second
    std::optional<double> seconds;
    std::string conditions;
    std::string source;
    std::string equals_parameter;

    // As published, or from its gflops; nothing where the row has gflops alone and no shape.
    [[nodiscard]] std::optional<double> measured_seconds() const;
};

// `file` is how errors name the text. Throws TimingError for a missing, negative or non-finite field, and
// for a column without its unit.
std::vector<PublishedTiming> parse_timings(std::string_view text, const std::string& file);
std::vector<PublishedTiming> read_timings(const std::string& file);

// Of this build: npu_impl/published_timings.csv.
std::string_view embedded_published_timings();
const std::vector<PublishedTiming>& published_timings();

// Factors on groups of the numbers of every device; 1: as the specifications say.
struct ModelScales {
    double dram = 1;    // bandwidths
    double launch = 1;  // costs of a call, from C++ and Python
    double task = 1;    // cost of a DMA task
    double kernel = 1;  // rates of kernels
};
DeviceSpec scaled(DeviceSpec spec, const ModelScales& scales);

// What the model makes of a row.
struct TimingPrediction {
    std::optional<double> seconds;
    Cost cost;            // where launches are part of the row
    std::string read_as;  // what was taken from its words, or why nothing is predicted
    bool counts = false;  // whether agreement would say anything
};

// The words of `conditions` that matter: scalar, assembly, broadcast, chess (else the kernel is Peano's; of
// operands "bf16" that are not "bf16(bfp16)", on an array with slow native products, the native one);
// C++, XRT and "kernel wall" (else the call came from Python, as nearly all published benchmarks do);
// "in-core" (nothing but the kernel); "N launches" (else one, of the whole product). A row without a tile is
// taken as 64x64x32, the default of mlir-aie's whole_array. What the model does not know (another device,
// integer operands, other ops) is not predicted, and `read_as` says why.
TimingPrediction predict(const PublishedTiming& row, const ModelScales& scales);

}  // namespace npu_impl
