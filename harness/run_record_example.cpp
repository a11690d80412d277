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

StepTime step(datasets::OpRange ops) {
    return {
        ops, {0.066, Clock::host_wall, {0.065, 0.066, 0.070}}, {0.0234, Clock::modelled, {}}, 40, 500, 6000,
        2.82};
}

}  // namespace

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
    record.device = "emulated";
    record.emulation = "fast";
    record.cost_model = "modelled for hawk_point";
    record.speedup_label = "projected, cross-machine";
    record.rows.push_back(row(Op::query, Input::isolated, Verdict::passed, ""));
    record.rows.push_back(row(Op::scores, Input::chained, Verdict::covered, "covered by scores..context"));
    record.rows.push_back(row(Op::key, Input::isolated, Verdict::mistrusted, "the golden is not certified"));
    record.rows.push_back(row(Op::value, Input::isolated, Verdict::not_run, "no device"));
    OpRow failed =
        row(Op::context, Input::chained, Verdict::failed, "12 of 64000 elements outside their bound");
    failed.statistics->rho = std::numeric_limits<double>::infinity();
    failed.statistics->match_percent = std::numeric_limits<double>::quiet_NaN();
    failed.statistics->damage =
        Damage{{3, 70, 5, 1.5, 1.0, 0.01}, {3, 71, 6, 2.5, 1.0, 0.01}, 70, 75, 2, {3, 4}};
    failed.site = datasets::Site{17, 2, 5};
    failed.reproduce = "harness --compare --layer 0 --op context --head 3 --input chained";
    record.rows.push_back(failed);
    LayerRow layer;
    layer.clip = "clip";
    layer.headline = {Verdict::passed, ""};
    layer.output = statistics(0.1);
    layer.steps.push_back(step({Op::query, Op::query}));
    layer.steps.push_back(step({Op::scores, Op::context}));
    layer.total = step(datasets::attention_ops);
    layer.repeated_elements = 1000;
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
                            2.82});
    record.verdict = Verdict::failed;
    record.exit_code = 1;
    return record;
}

}  // namespace harness
