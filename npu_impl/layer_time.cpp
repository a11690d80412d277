#include "npu_impl/layer_time.hpp"

#include <algorithm>

#include "npu_impl/layer_run.hpp"

namespace npu_impl {
namespace {

// The launches of one wave of a step, in the order in which they reach the device.
struct Turn {
    std::size_t step = 0;  // index into the moves
    std::int64_t wave = 0;
    bool switches = false;           // of context, before the first
    std::int64_t first_in_list = 0;  // place of the first launch in its run list
};

std::int64_t launches_in(const StepMoves& move, std::int64_t wave) {
    return std::ssize(move.step->tiles.launches_of(wave));
}

std::vector<Turn> turns_of(const std::vector<StepMoves>& moves, Contexts contexts) {
    std::vector<Turn> turns;
    for (std::size_t i = 0; i < moves.size();) {
        std::size_t end = i + 1;
        while (moves[i].step->square() && end < moves.size() && moves[end].step->square()) {
            ++end;
        }
        for (std::int64_t wave = 0; wave < moves[i].step->tiles.waves(); ++wave) {
            for (std::size_t step = i; step < end; ++step) {
                turns.push_back({step, wave, false, 0});
            }
        }
        i = end;
    }
    std::size_t before = turns.back().step;
    std::int64_t in_list = 0;
    for (Turn& turn : turns) {
        const TilePlan& tiles = moves[turn.step].step->tiles;
        turn.switches =
            contexts == Contexts::per_kernel && tiles.kernel.name != moves[before].step->tiles.kernel.name;
        in_list = turn.switches || moves[before].step->tiles.partial ? 0 : in_list;
        turn.first_in_list = in_list;
        in_list += launches_in(moves[turn.step], turn.wave);
        before = turn.step;
    }
    return turns;
}

// Buffers that the host writes before, and reads behind, the launches of one wave.
std::int64_t syncs_of(const StepMoves& move, std::int64_t wave) {
    const bool first = wave == 0;
    std::int64_t syncs = move.step->tiles.partial || (first && !read_on_device(move.step->ops.last)) ? 1 : 0;
    for (const datasets::Op upload : move.uploads) {
        syncs += lives_in_waves(upload) || first ? 1 : 0;
    }
    return syncs;
}

// Of the host before the calls of a turn.
double configuring(const Turn& turn, const StepMoves& move, const DeviceSpec& spec) {
    return (turn.switches ? spec.context_switch_seconds : 0) +
           double(syncs_of(move, turn.wave)) * spec.buffer_sync_seconds;
}

}  // namespace

std::vector<StepCost> layer_costs(const LayerPlan& plan, datasets::OpRange ops, const CostModel& model) {
    const std::vector<StepMoves> moves = plan_moves(plan, ops);
    std::vector<StepCost> costs;
    for (const StepMoves& move : moves) {
        const TilePlan& tiles = move.step->tiles;
        StepCost cost{move.step->ops, std::ssize(tiles.launches), tiles.tiles(), tiles.idle_slots(), 0,
                      tiles.traffic,  model.cost(tiles)};
        cost.seconds.launch = 0;
        costs.push_back(cost);
    }
    for (const Turn& turn : turns_of(moves, model.contexts)) {
        StepCost& cost = costs[turn.step];
        cost.switches += turn.switches ? 1 : 0;
        cost.seconds.launch +=
            configuring(turn, moves[turn.step], model.spec) +
            model.launches_seconds(turn.first_in_list, launches_in(moves[turn.step], turn.wave));
        cost.seconds.bounds.launch_floor = cost.seconds.launch;
    }
    return costs;
}

std::vector<LayerEvent> layer_timeline(const LayerPlan& plan, datasets::OpRange ops, const CostModel& model) {
    const std::vector<StepMoves> moves = plan_moves(plan, ops);
    std::vector<LayerEvent> out;
    double now = 0;
    for (const Turn& turn : turns_of(moves, model.contexts)) {
        const StepPlan& step = *moves[turn.step].step;
        if (const double host = configuring(turn, moves[turn.step], model.spec); host > 0) {
            out.push_back({step.ops, turn.wave, {Lane::host, now, now + host, 0}, true});
            now += host;
        }
        std::vector<TimelineEvent> events;
        model.cost(array_work(step.tiles, step.tiles.launches_of(turn.wave), model.spec, model.kernel),
                   &events, turn.first_in_list);
        double end = now;
        for (TimelineEvent event : events) {
            event.begin += now;
            event.end += now;
            end = std::max(end, event.end);
            out.push_back({step.ops, turn.wave, event, false});
        }
        now = end;
    }
    return out;
}

std::vector<StepCost> step_costs(const Design& design, datasets::LayerShape shape, const CostModel& model) {
    std::vector<StepCost> costs;
    for (const datasets::OpRange piece : pieces) {
        const LayerPlan plan = plan_layer(design, shape, {0, shape.heads}, piece);
        const std::vector<StepCost> some = layer_costs(plan, piece, model);
        costs.insert(costs.end(), some.begin(), some.end());
    }
    return costs;
}

}  // namespace npu_impl
