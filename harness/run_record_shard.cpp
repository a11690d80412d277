// The note of a shard as run.json keeps it.
#include "harness/run_record_json.hpp"

namespace harness {

Json to_json(const ShardNote& note) {
    Json clips = Json::array();
    for (const ShardClip& clip : note.clips) {
        clips.push_back({{"clip", clip.clip}, {"audio", number(clip.audio_seconds, "s", "recorded")}});
    }
    Json ops = Json::array();
    for (const datasets::Op op : note.ops) {
        ops.push_back(datasets::name(op));
    }
    Json inputs = Json::array();
    for (const Input input : note.inputs) {
        inputs.push_back(name(input));
    }
    Json cases = Json::array();
    for (const RunCase& one : own_cases(note)) {
        cases.push_back({{"clip", one.clip}, {"layer", one.layer}});
    }
    return {{"of", note.of},
            {"shards", note.shards},
            {"clips", clips},
            {"layers", note.layers},
            {"end", note.end},
            {"ops", ops},
            {"inputs", inputs},
            {"repetitions", note.repetitions},
            {"probes", note.probes},
            {"design_probes", note.design_probes},
            {"design_probes_here", owns_design_probes(note)},
            {"lost", note.lost},
            {"ranks_on_a_host", note.ranks_on_a_host},
            {"cases", cases}};
}

}  // namespace harness
