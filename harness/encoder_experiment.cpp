#include "harness/encoder_experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "harness/encoder_certificate.hpp"
#include "harness/encoder_drift.hpp"
#include "harness/encoder_source.hpp"
#include "harness/interrupt.hpp"
#include "harness/stopwatch.hpp"
#include "npu_impl/device.hpp"

namespace harness {
namespace {

using datasets::Clock;
using datasets::OpRange;
using datasets::Path;

double seconds_of(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Duration measured(std::vector<double> samples) {
    return {median(samples), Clock::host_wall, std::move(samples)};
}

// The sample in the middle, the lower one of two: a walk that was taken, so that its steps add up.
std::size_t median_sample(const std::vector<double>& samples) {
    std::vector<std::size_t> order(samples.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) { return samples[i]; });
    return order[(order.size() - 1) / 2];
}

Duration of_walk(std::vector<double> samples, std::size_t walk) {
    return {samples[walk], Clock::host_wall, std::move(samples), "of the median walk"};
}

// Mel, and the golden from it to the encoder's output: cold, then warm, with every step's share.
void time_golden(EncoderRow& row, EncoderWalk& walk, const EncoderClip& clip, const datasets::StemShape& stem,
                 int repetitions, bool cold, std::vector<float>& mel) {
    const auto hear = [&] { mel = heard_mel(clip.samples, stem); };
    const double first_mel = seconds_of(hear);
    const double first_walk = seconds_of([&] { walk.run(mel); });
    if (cold) {
        row.cold = measured({first_mel + first_walk});
    }
    std::vector<double> mel_samples;
    for (int i = 0; i < repetitions; ++i) {
        mel_samples.push_back(seconds_of(hear));
    }
    row.mel = measured(std::move(mel_samples));
    std::vector<double> walls;
    std::vector<double> between;
    std::vector<std::vector<double>> steps(walk.parts().size());
    for (int i = 0; i < repetitions; ++i) {
        throw_if_interrupted();
        walls.push_back(seconds_of([&] { walk.run(mel); }));
        between.push_back(walls.back());
        for (std::size_t part = 0; part < steps.size(); ++part) {
            steps[part].push_back(walk.parts()[part].cost.seconds);
            between.back() -= walk.parts()[part].cost.seconds;
        }
    }
    const std::size_t middle = median_sample(walls);
    row.warm = of_walk(std::move(walls), middle);
    row.between = of_walk(std::move(between), middle);
    for (std::size_t part = 0; part < steps.size(); ++part) {
        const StagePart& made = walk.parts()[part];
        StageTime time{made.stage, made.cost.ops, of_walk(std::move(steps[part]), middle)};
        time.cpu.clock = made.cost.clock;
        row.stages.push_back(std::move(time));
    }
}

std::vector<NpuStageTime> modelled_steps(const Placement& placement, const EncoderPieces& pieces, Path& npu) {
    std::vector<NpuStageTime> steps;
    const auto add = [&](Stage stage, const std::vector<datasets::Part>& planned) {
        for (const datasets::Part& part : planned) {
            steps.push_back({stage, part.ops, {part.seconds, part.clock, {}}, part.launches});
        }
    };
    // Every layer has the same shape, hence the same plan.
    const auto layer = npu.prepare(pieces.layer(0));
    for (int index = 0; index < pieces.layers; ++index) {
        for (const OpRange ops : placement.layer) {
            add({Piece::layer, index}, layer->planned({ops, -1}));
        }
    }
    if (placement.end) {
        add({Piece::end, -1}, npu.prepare(pieces.end)->planned({datasets::end_ops, -1}));
    }
    return steps;
}

// Adds a duration to a sum: the clock of a sum is that of its weakest part.
void add(Duration& sum, const Duration& part) {
    sum.seconds += part.seconds;
    if (sum.clock == Clock::none || part.clock == Clock::modelled) {
        sum.clock = part.clock;
    }
}

PieceTime& piece_of(std::vector<PieceTime>& pieces, Stage stage) {
    const auto found = std::ranges::find(pieces, stage, &PieceTime::stage);
    return found != pieces.end() ? *found : pieces.emplace_back(PieceTime{stage, {}, {}, {}});
}

// The golden's measured times for what stays, the model's for what goes.
PlacementTime place(const EncoderRow& row, const std::string& name, const Placement& placement,
                    std::vector<NpuStageTime> steps) {
    PlacementTime out;
    out.placement = name;
    out.mel = row.mel;
    out.cpu = {row.between.seconds, Clock::host_wall, {}};
    for (const StageTime& step : row.stages) {
        PieceTime& piece = piece_of(out.pieces, step.stage);
        if (!placement.contains(step.ops.last)) {
            add(piece.cpu, step.cpu);
            out.cpu.seconds += step.cpu.seconds;
        }
    }
    for (const NpuStageTime& step : steps) {
        add(piece_of(out.pieces, step.stage).npu, step.npu);
        add(out.npu, step.npu);
        out.launches += step.launches;
    }
    for (PieceTime& piece : out.pieces) {
        add(piece.total, piece.cpu);
        add(piece.total, piece.npu);
    }
    out.steps = std::move(steps);
    Duration all = out.mel;
    all.samples_seconds.clear();
    add(all, out.cpu);
    add(all, out.npu);
    out.window = real_time(all, row.window_seconds);
    out.audio = real_time(all, row.audio_seconds);
    return out;
}

// Ops over all layers, in the steps of the NPU where it has the op, else in those of the golden.
std::vector<OpTime> sum_ops(const std::vector<StageTime>& golden, const std::vector<NpuStageTime>& npu) {
    std::vector<OpTime> ops;
    const auto row_of = [&](OpRange range) -> OpTime& {
        const auto found = std::ranges::find_if(ops, [&](const OpTime& time) { return time.ops == range; });
        return found != ops.end() ? *found : ops.emplace_back(OpTime{range, {}, {}, 0});
    };
    for (const StageTime& step : golden) {
        const auto on_device = std::ranges::find_if(
            npu, [&](const NpuStageTime& candidate) { return candidate.ops.contains(step.ops.last); });
        add(row_of(on_device == npu.end() ? step.ops : on_device->ops).cpu, step.cpu);
    }
    for (const NpuStageTime& step : npu) {
        OpTime& time = row_of(step.ops);
        time.npu = time.npu.value_or(Duration{});
        add(*time.npu, step.npu);
        time.launches += step.launches;
    }
    return ops;
}

Judgement judge(const EncoderRow& row, const Placement& placement, const std::string& violation) {
    for (const auto& [stage, certificate] : row.certificates) {
        if (!certificate.fault.empty()) {
            return {Verdict::mistrusted,
                    fmt::format("the golden is not certified: {}: {}", name(stage), certificate.fault)};
        }
    }
    std::vector<Deviation> isolated;
    for (const DriftPoint& point : row.drift) {
        isolated.push_back(point.isolated);
    }
    const Deviation output = row.drift.empty() ? Deviation{} : row.drift.back().chained;
    const bool only_attention = placement.layer == std::vector{datasets::attention_ops} && !placement.end;
    return judge_encoder(isolated, output, only_attention,
                         {true, row.launches, row.launches_planned, violation});
}

}  // namespace

int encoder_stages(int layers) {
    return 2 * (layers + 2);
}

EncoderRow run_encoder(const EncoderPieces& pieces, const EncoderClip& clip, Path& golden, Path& npu,
                       const EncoderSelection& selection, const Progress& progress) {
    EncoderRow row;
    row.clip = clip.id;
    row.audio_sha256 = clip.audio_sha256;
    row.audio_origin = clip.audio_origin;
    row.heads = pieces.shape.heads;
    row.audio_seconds = clip.audio_seconds;
    row.window_seconds = clip.window_seconds;
    row.context = pieces.shape.context;
    row.layers = pieces.layers;
    row.placement = selection.placement;

    progress("timing the golden");
    EncoderWalk golden_walk(pieces, golden_route(golden));
    std::vector<float> mel;
    time_golden(row, golden_walk, clip, pieces.stem->shape, selection.repetitions, selection.cold, mel);
    row.placements.push_back(place(row, "cpu", {}, {}));
    for (const std::string& name : placement_names()) {
        const Placement placement = parse_placement(name);
        row.placements.push_back(place(row, name, placement, modelled_steps(placement, pieces, npu)));
    }
    row.ops = sum_ops(row.stages, row.placements.back().steps);

    const Placement placement = parse_placement(selection.placement);
    EncoderWalk candidate(pieces, placed_route(placement, golden, npu));
    row.certificates = certify_encoder(pieces, mel, golden, selection.row_seed, progress);
    EncoderDrift drift;
    std::string lost;
    try {
        golden_walk.stem(mel);
        walk_beside(golden_walk, candidate, pieces, progress, drift);
    } catch (const npu_impl::IntegrityError& error) {
        drift.fault = error.what();
    } catch (const npu_impl::DeviceError& error) {
        lost = fmt::format("the device failed {}: {}",
                           drift.points.empty() ? "on the first piece"
                                                : fmt::format("behind {}", name(drift.points.back().stage)),
                           error.what());
    }
    row.drift = std::move(drift.points);
    row.launches = drift.launches;
    row.launches_planned = drift.launches_planned;
    row.judgement =
        lost.empty() ? judge(row, placement, drift.fault) : Judgement{Verdict::not_run, std::move(lost), {}};
    return row;
}

}  // namespace harness
