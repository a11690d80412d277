#include "harness/run_record_example.hpp"

#include <limits>

namespace harness {
namespace {

using datasets::Clock;
using datasets::Op;

OpStatistics statistics(double rho) {
    OpStatistics s;
    s.elements = 64000;
    s.blocks_expected = s.blocks_seen = 10;
    s.rho = rho;
    s.match_percent = 99.97;
    s.worst_row = 0.021;
    s.worst_tile = 0.011;
    return s;
}

OpRow row(Op op, Input input, Verdict verdict, std::string reason) {
    OpRow out{"clip", 0, op, input, {verdict, std::move(reason)}, statistics(0.5), {}, {}};
    if (verdict == Verdict::covered) {
        out.statistics.reset();
    }
    return out;
}

ProbeRow probe_row(Probe probe, Verdict verdict) {
    ProbeRow out;
    out.probe = probe;
    out.shape = {63, 2};
    out.op = Op::context;
    out.judgement = {verdict, "", {}};
    if (verdict == Verdict::failed) {
        out.judgement = judged({{quantity(probe), "probe ones: context at head 0, row 3 is 0"}});
        out.rho = 178;
        out.worst = {0, 3, 5, 0, 1, 0.0056};
        out.site = datasets::Site{2, 1, 7};
        out.reproduce = "harness --compare --layer 0 --op context";
    }
    return out;
}

StepTime step(datasets::OpRange ops) {
    return {
        ops, {0.066, Clock::host_wall, {0.065, 0.066, 0.070}}, {0.0234, Clock::modelled, {}}, 40, 500, 6000,
        2.82};
}

Duration measured(double seconds) {
    return {seconds, Clock::host_wall, {seconds}};
}

Duration modelled(double seconds) {
    return {seconds, Clock::modelled, {}};
}

PlacementTime example_placement(bool on_npu) {
    PlacementTime out;
    out.placement = on_npu ? "attention" : "cpu";
    out.mel = measured(0.012);
    out.cpu = measured(on_npu ? 0.2 : 0.4);
    for (int layer = 0; layer < 2; ++layer) {
        PieceTime& piece = out.pieces.emplace_back();
        piece.stage = {Piece::layer, layer};
        piece.cpu = measured(0.08);
        piece.total = measured(0.08);
        if (on_npu) {
            piece.npu = modelled(0.023);
            piece.total = modelled(0.103);
            out.steps.push_back({{Piece::layer, layer}, datasets::attention_ops, modelled(0.023), 40});
        }
    }
    out.npu = on_npu ? modelled(0.046) : Duration{};
    out.launches = on_npu ? 80 : 0;
    const Duration all = on_npu ? modelled(0.258) : measured(0.412);
    out.window = real_time(all, 30);
    out.audio = real_time(all, 5);
    return out;
}

}  // namespace

RunRecord example_encoder_record() {
    RunRecord record;
    record.command = "harness encode --random-weights base --synthetic-speech 5";
    record.environment.cpu = "Some Processor with a Rather Long Name";
    record.environment.threads = 2;
    record.recording.model_id = "random-base";
    record.provenance_note = "random weights";
    record.design = "fused";
    record.design_sha256 = "d5";
    record.device = "emulated";
    record.emulation = "fast";
    record.cost_model = "modelled for hawk_point";
    EncoderRow row;
    row.clip = "speech";
    row.audio_seconds = 5;
    row.window_seconds = 30;
    row.context = 1500;
    row.layers = 2;
    row.mel = measured(0.012);
    row.cold = measured(0.5);
    row.warm = measured(0.4);
    row.between = measured(0.001);
    for (int layer = 0; layer < 2; ++layer) {
        row.stages.push_back({{Piece::layer, layer}, {Op::query, Op::query}, measured(0.004)});
    }
    row.ops.push_back({{Op::conv1, Op::conv1}, measured(0.014), {}, 0});
    row.ops.push_back({{Op::scores, Op::context}, measured(0.2), modelled(0.04), 24});
    row.placements = {example_placement(false), example_placement(true)};
    row.placement = "attention";
    const Deviation near{99.98, 1, 1.4e-2, 0.021, 7, 1500, 0};
    row.drift.push_back({{Piece::layer, 0}, near, near});
    row.drift.push_back({{Piece::end, -1}, near, {99.87, 1, 3.6e-2, 0.05, 9, 1500, 0}});
    row.launches = row.launches_planned = 80;
    row.judgement = {Verdict::failed, "encoder match 99.8700% is under 99.9%"};
    row.reproduce = "harness encode --random-weights base --synthetic-speech 5 --npu attention";
    record.baseline = design_note(row);
    record.encoders.push_back(std::move(row));
    record.verdict = overall_verdict(record);
    record.exit_code = static_cast<int>(exit_code(record.verdict));
    return record;
}

RunRecord example_record() {
    RunRecord record;
    record.command = "harness --layer all --compare";
    record.created_utc = "2026-01-01T00:00:00Z";
    record.environment.cpu = "Some Processor with a Rather Long Name";
    record.environment.threads = 2;
    record.recording_file = "hard.h5";
    record.recording_sha256 = std::string(64, 'a');
    record.recording.model_id = "synthetic-hard-base";
    record.recording.context = 1500;
    record.design = "fused";
    record.design_sha256 = "d5";
    record.device = "emulated";
    record.emulation = "fast";
    record.cost_model = "modelled for hawk_point";
    record.speedup_label = "projected, cross-machine";
    record.cpu_timing = CpuTiming{2, 6, 10, 0.015, {1.004, 1.12, 0.021}};
    record.rows.push_back(row(Op::query, Input::isolated, Verdict::passed, ""));
    record.rows.push_back(row(Op::scores, Input::chained, Verdict::covered, "covered by scores..context"));
    record.rows.push_back(row(Op::key, Input::isolated, Verdict::mistrusted, "the golden is not certified"));
    record.rows.push_back(row(Op::value, Input::isolated, Verdict::not_run, "no device"));
    OpRow failed =
        row(Op::context, Input::chained, Verdict::failed, "12 of 64000 elements outside their bound");
    failed.judgement.findings = {{Quantity::bound, "12 of 64000 elements outside their bound"},
                                 {Quantity::context_tile, "64x64 tile (1, 0) errs by 9 times"}};
    failed.statistics->rho = std::numeric_limits<double>::infinity();
    failed.statistics->match_percent = std::numeric_limits<double>::quiet_NaN();
    failed.statistics->damage =
        Damage{{3, 70, 5, 1.5, 1.0, 0.01}, {3, 71, 6, 2.5, 1.0, 0.01}, 70, 75, 2, {3, 4}};
    failed.statistics->unrepresentable = 4;
    failed.statistics->row_sum = 1.25;
    failed.statistics->row_sums_outside = 2;
    failed.statistics->row_sum_head = 3;
    failed.statistics->row_sum_row = 70;
    failed.site = datasets::Site{17, 2, 5};
    failed.reproduce = "harness --compare --layer 0 --op context --head 3 --input chained";
    failed.diagnosis = Diagnosis{Pattern::head_swapped, 0.998, "what came is the golden's head 4", 1, 0};
    record.rows.push_back(failed);
    LayerRow layer;
    layer.clip = "clip";
    layer.headline = {Verdict::passed, ""};
    layer.output = statistics(0.1);
    layer.steps.push_back(step({Op::query, Op::query}));
    layer.steps.push_back(step({Op::scores, Op::context}));
    layer.total = step(datasets::attention_ops);
    layer.repeated_elements = 1000;
    layer.probes.push_back(probe_row(Probe::ones, Verdict::failed));
    layer.probes.push_back(probe_row(Probe::zero_keys, Verdict::passed));
    record.ragged_probes.push_back(probe_row(Probe::integers, Verdict::covered));
    record.layers.push_back(layer);
    OpSummary summary{Op::context, Verdict::failed, InputSummary{0.5, 99.97, 0.02, 0.01},
                      InputSummary{1e9, -1e6, 123.4, 5.0}, step({Op::scores, Op::context})};
    record.ops.push_back(summary);
    record.clips.push_back({"clip",
                            30,
                            1,
                            "attention, 1 of 6 layers",
                            {{0.066, Clock::host_wall, {}}, 0.0022, 454.5},
                            {{0.0234, Clock::modelled, {}}, 0.00078, 1282.0},
                            2.82,
                            2.2,
                            3.6});
    record.verdict = Verdict::failed;
    record.exit_code = 1;
    return record;
}

RunRecord example_on_npu(bool hardware) {
    RunRecord record = example_record();
    record.device = "xrt";
    record.environment.npu = {
        hardware ? "NPU Strix" : "emulated NPU", hardware, "performance", "2.19.0", "1.5.2.380", 24};
    const auto measure = [&](StepTime& step) {
        step.npu_modelled = step.npu;
        LaunchTimes times;
        times.total = {0.05, hardware ? Clock::device_wall : Clock::emulation_wall, {0.049, 0.05, 0.06}};
        times.split = {0.004, 0.04, 0.005, 0.001, 2, 1};
        times.launches = step.launches;
        times.warm_ups = 1;
        step.launch_times = times;
        step.npu = hardware ? times.total : step.npu_modelled;
    };
    for (StepTime& step : record.layers.front().steps) {
        measure(step);
    }
    measure(*record.ops.front().time);
    return record;
}

}  // namespace harness
