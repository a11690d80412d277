// The library of planted faults: what a broken kernel, device, host or data set does, as decorators at seams
// that production already has. Production code has no hook for them.
//
// A fault is planted at one place at a time (an op, or a fused step, or the whole attention), on one ground,
// around one healthy design. The check that is its own must then fire, wherever the fault is visible.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "datasets/path.hpp"
#include "harness/gate.hpp"
#include "harness/judge.hpp"
#include "harness/self_check/ground.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/device.hpp"

namespace harness {

enum class Seam : std::uint8_t {
    layer,    // the weights and inputs that a path is prepared with
    source,   // what it reads
    launch,   // what the device is asked to do
    kernels,  // the functions of a core
    device,   // transfers, launches that run
    output,   // the tiles that come back
    sink,     // what is pushed to the judge
    path,     // another path in its place
    golden,   // the golden, or the recording that it is held to
};
std::string_view name(Seam seam);

// What is judged.
enum class Court : std::uint8_t {
    layer,    // run_case (run_end for `encoder`) on the place
    golden,   // certify, with the golden of the edited layer
    encoder,  // run_encoder on a small encoder, placed as the place says
};

// Where a fault is planted.
struct Setting {
    const npu_impl::Design& design;
    const Ground& ground;
    datasets::OpRange place;
    datasets::Emulation emulation = datasets::Emulation::fast;
};

// Whether sums of rows of probabilities show what errs by several 2^-8 in one direction: they are emitted,
// and not rounded down.
bool shows_row_sums(const Setting& scene);

// What to put around, or in the place of, healthy parts. Null: nothing there.
struct Plant {
    std::function<std::unique_ptr<npu_impl::Device>(npu_impl::Device&)> device{};
    std::function<void(kernels::KernelTable&)> kernels{};
    std::function<std::unique_ptr<datasets::Path>(datasets::Path&, const Ground&)> path{};
    std::function<void(datasets::LayerCase&)> judged{};  // the case that golden and judge are given
    std::function<void(datasets::LayerCase&)> golden{};  // of Court::golden: what the golden computes
};

struct Fault {
    std::string name;
    std::string says;  // one sentence
    Seam seam{};
    Quantity own{};                         // the check that must fire
    std::vector<datasets::OpRange> places;  // each planted and judged by itself
    Plant plant;
    Input input = Input::isolated;  // the run in which its own check sees it
    Court court = Court::layer;
    std::string needs{};  // what design and data must have, in words; empty: nothing
    std::function<bool(const Setting&)> visible{};  // the same, as a rule; null: always
    std::set<datasets::Op> judged{};                // of the place; empty: all of it
    std::string equivalent{};  // why no check can or should see it: then none may fire. Empty: visible
};

// Every planted fault. Each call gives fresh ones, but state lives in what a plant makes, not in the fault.
std::vector<Fault> planted_faults();

// By seam; planted_faults is all of them.
std::vector<Fault> weight_faults();
std::vector<Fault> stream_faults();
std::vector<Fault> launch_faults();
std::vector<Fault> kernel_faults();
std::vector<Fault> device_faults();
std::vector<Fault> output_faults();
std::vector<Fault> chain_faults();

// Single ops as places: those named, all that are products, all of a layer.
std::vector<datasets::OpRange> each_of(std::initializer_list<datasets::Op> ops);
const std::vector<datasets::OpRange>& products();
const std::vector<datasets::OpRange>& every_op();

// Makes the fault visible where the rule says, which `needs` puts in words.
void restrict(Fault& fault, std::string needs, std::function<bool(const Setting&)> visible);

inline constexpr std::int64_t tile_side = kernels::tile;

}  // namespace harness
