// Every way to put Whisper base on an NPU that this build knows, its modelled time, and what that makes of a
// target: nothing runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "datasets/op.hpp"
#include "harness/cpu_baseline.hpp"
#include "npu_impl/cost_model.hpp"
#include "npu_impl/layer_time.hpp"

namespace harness {

enum class TimeScope : std::uint8_t { attention, encoder };

struct PlanQuestion {
    std::int64_t context = 1500;
    npu_impl::DeviceSpec spec;
    double target_rtfx = 1.1;
    TimeScope scope = TimeScope::encoder;
    double audio_seconds = 30;
    std::optional<EncoderCpu> cpu{};  // measured; none: the design note's, scaled (`remaining_cpu`)
};

inline constexpr int planned_heads = 8;  // of Whisper base
inline constexpr int planned_layers = 6;

// How a design is used.
struct WayToRun {
    std::string design;
    std::string placement;
    npu_impl::Dispatch dispatch{};
    npu_impl::Contexts contexts{};
    std::string kernel;  // how its vector code is compiled, or scalar

    bool operator==(const WayToRun&) const = default;
};

// What it gives. CPU seconds are the question's; those of scope attention are 0.
struct PlannedWay {
    WayToRun way;
    std::vector<npu_impl::StepCost> steps;  // of one layer, and of the encoder's end where the NPU has it
    npu_impl::Cost npu;                     // of the whole encoder
    double cpu_seconds = 0;
    double rtfx = 0;
    bool meets_target = false;

    [[nodiscard]] double seconds() const { return npu.total() + cpu_seconds; }
};

// Throws std::invalid_argument for a design, placement or kernel that does not exist, or of which the
// measured CPU has no time.
PlannedWay plan_way(const PlanQuestion& question, const WayToRun& way);

// What happens in one layer of a way, its ranges one after the other.
std::vector<npu_impl::LayerEvent> planned_timeline(const PlanQuestion& question, const WayToRun& way);

// Designs that differ in time, all placements (scope attention: that of the attention), every dispatch,
// contexts, and vector kernels of Peano and Chess, as far as the device knows them; the fastest first.
std::vector<PlannedWay> plan_ways(const PlanQuestion& question);

// What stays on the CPU: the note's seconds at T = 3001, of which work on rows is scaled by T, the mel
// spectrogram not. The note does not split a layer's 342 ms outside the attention: its MLP is taken at the
// rate of its attention, and its norms stay in the rest, whose part they are not known.
double remaining_cpu(const std::string& placement, std::int64_t context);

// What must be less, and by how much, for the way to reach the target; empty where it does.
std::string what_would_have_to_change(const PlanQuestion& question, const PlannedWay& way);

// Seconds that no implementation beats: the products of the scope on all cores at their peak.
double least_seconds(const PlanQuestion& question);

// A phase of the note's road map beside what it gives.
struct RoadMapPhase {
    std::string phase;
    double claimed_rtfx = 0;
    std::string taken_as;           // how the phase was read
    std::optional<PlannedWay> way;  // none: the CPU alone
    double rtfx = 0;
};

// Of the note's own clip, 5 s in a window of 30 s, at the question's context and device, on the note's CPU.
// `fastest`: the way that the end of the map is held to.
std::vector<RoadMapPhase> note_road_map(PlanQuestion question, const WayToRun& fastest);

}  // namespace harness
