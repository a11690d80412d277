#include "harness/run_record_whole.hpp"

#include <map>
#include <utility>

#include "harness/run_record_place.hpp"
#include "harness/run_record_read.hpp"
#include "harness/run_record_read_parts.hpp"

namespace harness {
namespace {

ZStatistics z_of(const Place& place) {
    ZStatistics z;
    z.rms = place["rms"].measured();
    z.mean = place["mean"].measured();
    z.gain = place["undeclared_gain"].measured();
    const Place largest = place["largest"];
    z.largest = largest["z"].measured();
    z.largest_head = largest["head"].small();
    z.largest_row = largest["row"].integer();
    z.largest_column = largest["column"].integer();
    const Place row = place["worst_row"];
    z.worst_row = row["rms"].measured();
    z.worst_row_head = row["head"].small();
    z.worst_row_index = row["row"].integer();
    const Place tile = place["worst_tile"];
    z.worst_tile = tile["rms"].measured();
    z.worst_tile_head = tile["head"].small();
    z.worst_tile_row = tile["tile_row"].integer();
    z.worst_tile_column = tile["tile_column"].integer();
    z.measured_error = place["relative_error"]["measured"].measured();
    z.predicted_error = place["relative_error"]["predicted"].measured();
    z.predicted_match_percent = place["predicted_match"].measured();
    return z;
}

void read_z(std::optional<OpStatistics>& statistics, const Place& owner, const char* key) {
    if (statistics && owner[key].has("z")) {
        statistics->z = z_of(owner[key]["z"]);
    }
}

std::vector<Headroom> headroom_of(const Place& row) {
    std::vector<Headroom> out;
    if (!row.has("headroom")) {
        return out;
    }
    for (const Place& one : row["headroom"].elements()) {
        out.push_back(
            {quantity_of(one["limit"]), one["value"].measured(), one["room"].measured(Place::infinity)});
    }
    return out;
}

std::map<datasets::Op, double> errors_of(const Place& place) {
    std::map<datasets::Op, double> out;
    for (const datasets::OpInfo& info : datasets::op_table()) {
        const std::string name(info.name);
        if (place.has(name.c_str())) {
            out[info.op] = place[name.c_str()].measured();
        }
    }
    return out;
}

Certificate certificate_of(const Place& place) {
    return {errors_of(place["golden_against_oracle"]), errors_of(place["golden_against_recording"]),
            place["fault"].text(), findings_of(place)};
}

ProbeRow probe_of(const Place& place) {
    constexpr std::array probes{Probe::ones,      Probe::zero_keys, Probe::raised_keys,
                                Probe::deep_keys, Probe::one_hot,   Probe::integers};
    ProbeRow out;
    out.probe = place["probe"].one_of(probes);
    out.shape = {place["context"].integer(), place["heads"].small()};
    out.head = place["head"].small();
    out.judgement = judgement_of(place);
    out.elements = place["elements"].counted();
    out.judged = place["judged"].counted();
    out.nonfinite = place["nonfinite"].counted();
    out.rho = place["rho"].measured(Place::infinity);
    out.row_sum_rho = place["row_sum_rho"].measured(Place::infinity);
    if (place.has("op")) {
        out.op = op_of(place["op"]);
        out.worst = element_of(place["worst"]);
    }
    out.site = site_of(place);
    if (place.has("reproduce")) {
        out.reproduce = place["reproduce"].text();
    }
    return out;
}

std::vector<ProbeRow> probes_of(const Place& place) {
    std::vector<ProbeRow> out;
    for (const Place& one : place.elements()) {
        out.push_back(probe_of(one));
    }
    return out;
}

HeadStatistics head_of(const Place& place) {
    const auto figure = [&](const char* key) { return place[key].measured(); };
    HeadStatistics out;
    out.head = place["head"].small();
    out.effective_keys = figure("effective_keys");
    out.median_top_probability = figure("median_top_probability");
    out.lowest_logit = figure("lowest_logit");
    out.highest_logit = figure("highest_logit");
    out.lowest_row_max = figure("lowest_row_max");
    out.negative_rows = figure("negative_rows");
    out.padding_share = figure("padding_share");
    out.last_key_share = figure("last_key_share");
    out.rescaled_share = figure("rescaled_share");
    out.scale_share = figure("scale_share");
    if (place.has("scale_slope")) {  // from minor version 10 on
        out.scale_slope = figure("scale_slope");
    }
    out.widest_row = figure("widest_row");
    out.neighbours = figure("neighbours");
    out.blocks = figure("blocks");
    out.next_head = figure("next_head");
    return out;
}

LayerStatistics data_of(const Place& place, const LayerRow& layer) {
    LayerStatistics out;
    out.clip = layer.clip;
    out.layer = layer.layer;
    out.outlier_channels = int(place["outlier_channels"].counted());
    out.largest_channel = place["largest_channel"].measured();
    out.mirrored_rows = place["mirrored_rows"].measured();
    out.smallest_bias = place["smallest_bias"].measured();
    for (const Place& head : place["heads"].elements()) {
        out.heads.push_back(head_of(head));
    }
    return out;
}

// What parse_run_record leaves out of a layer.
void complete_layer(LayerRow& layer, const Place& place) {
    layer.certificate = certificate_of(place["certificate"]);
    layer.repeatability = judgement_of(place["repeatability"]);
    layer.probes = probes_of(place["probes"]);
    if (!place["data"].is_null()) {
        layer.data = data_of(place["data"], layer);
    }
    read_z(layer.output, place, "output");
    layer.steps.clear();
    for (const Place& step : place["steps"].elements()) {
        layer.steps.push_back(step_time_of(step));
    }
    if (place.has("attention")) {
        layer.total = step_time_of(place["attention"]);
    }
}

Environment environment_of(const Place& place, std::optional<NpuEnvironment> npu) {
    Environment e;
    e.machine = place.has("machine") ? place["machine"].text() : "";  // absent before minor version 4
    e.cpu = place["cpu"].text();
    e.cores = place["cores"].small();
    e.threads = place["threads"].small();
    e.blas = place["blas"].text();
    e.blas_core_type = place["blas_core_type"].text();
    e.compiler = place["compiler"].text();
    e.flags = place["flags"].text();
    e.build_type = place["build_type"].text();
    e.commit = place["commit"].text();
    e.version = place["version"].text();
    e.system = place["system"].text();
    e.npu = std::move(npu);
    return e;
}

TimeModelNotes time_model_of(const Place& place) {
    TimeModelNotes notes;
    notes.device = place["device"].text();
    notes.assumptions = place["assumptions"].text();
    notes.interval_factor = place["interval_factor_90"].real();
    for (const Place& step : place["steps"].elements()) {
        ModelledStep one;
        one.ops = range_of(step["ops"]);
        one.launches = step["launches"].integer();
        one.switches = step["context_switches"].integer();
        one.seconds = step["seconds"].real();
        one.launch_seconds = step["launch_seconds"].real();
        one.transfer_seconds = step["transfer_seconds"].real();
        one.compute_seconds = step["compute_seconds"].real();
        one.idle_seconds = step["idle_seconds"].real();
        one.bound = step["bound"].text();
        one.share_of_peak = step["share_of_peak"].real();
        notes.steps.push_back(std::move(one));
    }
    return notes;
}

CpuTiming cpu_timing_of(const Place& place) {
    CpuTiming out;
    out.elsewhere = place["elsewhere"].boolean();
    out.layers = place["layers"].small();
    out.fewest_samples = place["fewest_samples"].small();
    out.most_samples = place["most_samples"].small();
    out.half_width = place["median_half_width_95"].real(Place::infinity);
    out.control.odd_over_even = place["odd_over_even"].real();
    out.control.second_over_first = place["second_over_first"].real();
    out.control.noise = place["noise_95"].real();
    return out;
}

ShardNote shard_of(const Place& place) {
    ShardNote note;
    note.of = place["of"].small();
    if (note.of < 1 || note.of > most_shards) {
        place["of"].refuse(fmt::format("is not between 1 and {}", most_shards));
    }
    int before = 0;
    for (const Place& shard : place["shards"].elements()) {
        if (shard.small() <= before || shard.small() > note.of) {
            shard.refuse(fmt::format("is no shard of {}, in ascending order", note.of));
        }
        before = shard.small();
        note.shards.push_back(before);
    }
    for (const Place& clip : place["clips"].elements()) {
        note.clips.push_back({clip["clip"].text(), clip["audio"].measured()});
    }
    for (const Place& layer : place["layers"].elements()) {
        note.layers.push_back(layer.small());
    }
    note.end = place["end"].boolean();
    for (const Place& op : place["ops"].elements()) {
        note.ops.push_back(op_of(op));
    }
    for (const Place& input : place["inputs"].elements()) {
        note.inputs.push_back(input.one_of(std::array{Input::isolated, Input::chained}));
    }
    note.repetitions = place["repetitions"].small();
    note.probes = place["probes"].boolean();
    note.design_probes = place["design_probes"].boolean();
    for (const Place& line : place["lost"].elements()) {
        note.lost.push_back(line.text());
    }
    note.ranks_on_a_host = place["ranks_on_a_host"].small();
    return note;
}

std::array<FaultClass, fault_class_count> fault_classes() {
    std::array<FaultClass, fault_class_count> out{};
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = static_cast<FaultClass>(i);
    }
    return out;
}

TrustRow trust_of(const Place& place) {
    return {place["fault_class"].one_of(fault_classes()),
            {verdict_of(place["verdict"]), place["reason"].text(), {}},
            place["effect"].measured(Place::infinity),
            place["needed"].measured(),
            place["where"].text()};
}

std::string shown(const Json* value) {
    constexpr std::size_t most = 60;
    if (value == nullptr) {
        return "nothing";
    }
    const std::string text = value->dump(-1, ' ', false, Json::error_handler_t::replace);
    return text.size() <= most ? text : text.substr(0, most) + "...";
}

// The first keys or elements of which only one side has its own, or which differ.
std::string difference(const Json& a, const Json& b, const std::string& path, std::string_view a_name,
                       std::string_view b_name) {
    if (a == b) {
        return "";
    }
    const auto differ = [&](const Json* one, const Json* other, const std::string& where) {
        return fmt::format("{}: is {} in {} and {} in {}", where, shown(one), a_name, shown(other), b_name);
    };
    if (a.is_object() && b.is_object()) {
        for (const auto& [own, others] : {std::pair(&a, &b), std::pair(&b, &a)}) {
            for (const auto& [key, value] : own->items()) {
                const std::string where = path.empty() ? key : fmt::format("{}.{}", path, key);
                if (!others->contains(key)) {
                    const bool of_a = own == &a;
                    return differ(of_a ? &value : nullptr, of_a ? nullptr : &value, where);
                }
                if (value != others->at(key)) {
                    return difference(a.at(key), b.at(key), where, a_name, b_name);
                }
            }
        }
    }
    if (a.is_array() && b.is_array()) {
        for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
            if (a[i] != b[i]) {
                return difference(a[i], b[i], fmt::format("{}[{}]", path, i), a_name, b_name);
            }
        }
    }
    return differ(&a, &b, path);
}

}  // namespace

RunRecord parse_whole_record(const std::string& text, const std::string& file) {
    const Json json = json_of_run(text, file);
    const Place root(json, file, "");
    RunRecord record = run_record_of(root);
    if (!root["encoders"].elements().empty() || !root["baseline"].is_null()) {
        root.refuse("is no run over layers by harness --compare or harness judge");
    }
    record.environment = environment_of(root["environment"], std::move(record.environment.npu));
    const auto rows = root["rows"].elements();
    for (std::size_t i = 0; i < rows.size(); ++i) {
        read_z(record.rows[i].statistics, rows[i], "statistics");
        record.rows[i].headroom = headroom_of(rows[i]);
    }
    const auto layers = root["layers"].elements();
    for (std::size_t i = 0; i < layers.size(); ++i) {
        complete_layer(record.layers[i], layers[i]);
    }
    record.ragged_probes = probes_of(root["ragged_probes"]);
    if (root.has("data_trust")) {  // not before minor version 1
        for (const Place& row : root["data_trust"].elements()) {
            record.trust.push_back(trust_of(row));
        }
    }
    if (!root["time_model"].is_null()) {
        record.time_model = time_model_of(root["time_model"]);
    }
    if (!root["cpu_timing"].is_null()) {
        record.cpu_timing = cpu_timing_of(root["cpu_timing"]);
    }
    if (root.has("shard")) {
        record.shard = shard_of(root["shard"]);
    }
    return record;
}

std::string first_difference(const std::string& a, const std::string& b, std::string_view a_name,
                             std::string_view b_name) {
    return a == b ? std::string() : difference(Json::parse(a), Json::parse(b), "", a_name, b_name);
}

}  // namespace harness
