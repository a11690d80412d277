#include "harness/encoder_drift.hpp"

#include <fmt/format.h>

#include <functional>
#include <utility>

#include "harness/drift.hpp"
#include "harness/interrupt.hpp"

namespace harness {
namespace {

std::string launch_fault(const EncoderWalk& walk) {
    for (const StagePart& part : walk.parts()) {
        if (part.cost.launches != part.planned.launches) {
            return fmt::format("{} {}: the device counted {} launches, the plan promised {}",
                               name(part.stage), datasets::name(part.cost.ops.last), part.cost.launches,
                               part.planned.launches);
        }
    }
    return {};
}

}  // namespace

void walk_beside(EncoderWalk& golden, EncoderWalk& candidate, const EncoderPieces& pieces,
                 const Progress& progress, EncoderDrift& into) {
    const std::int64_t width = pieces.shape.width();
    std::vector<float> own = golden.stream();
    const auto keep_fault = [&] {
        if (into.fault.empty()) {
            into.fault = launch_fault(candidate);
        }
    };
    // `advance` takes both walks over one piece.
    const auto compare = [&](Stage stage, const std::function<void(EncoderWalk&)>& advance) {
        throw_if_interrupted();
        progress(name(stage));
        candidate.start(golden.stream());
        advance(candidate);
        keep_fault();
        const std::vector<float> alone = candidate.stream();
        candidate.start(std::move(own));
        advance(candidate);
        keep_fault();
        for (const StagePart& part : candidate.parts()) {
            into.launches += part.cost.launches;
            into.launches_planned += part.planned.launches;
        }
        own = candidate.stream();
        golden.start(golden.stream());
        advance(golden);
        into.points.push_back(
            {stage, deviation(alone, golden.stream(), width), deviation(own, golden.stream(), width)});
    };
    for (int index = 0; index < pieces.layers; ++index) {
        compare({Piece::layer, index}, [index](EncoderWalk& walk) { walk.layer(index); });
    }
    compare({Piece::end, -1}, [](EncoderWalk& walk) { walk.end(); });
}

}  // namespace harness
