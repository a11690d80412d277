#include "harness/run_record_read_parts.hpp"

#include <array>

namespace harness {
namespace {

void refuse_unknown(const Place& place) {
    place.refuse(fmt::format("is '{}', which this program does not know", place.text()));
}

}  // namespace

datasets::Op op_of(const Place& place) {
    const auto known = datasets::parse_op(place.text());
    if (!known) {
        refuse_unknown(place);
    }
    return *known;
}

datasets::OpRange range_of(const Place& place) {
    return {op_of(place["first"]), op_of(place["last"])};
}

Quantity quantity_of(const Place& word) {
    const auto quantity = parse_quantity(word.text());
    if (!quantity) {
        refuse_unknown(word);
    }
    return *quantity;
}

std::optional<datasets::Site> site_of(const Place& place) {
    if (!place.has("site")) {
        return std::nullopt;
    }
    const Place site = place["site"];
    return datasets::Site{site["tile"].integer(), site["launch"].integer(), site["core"].small(),
                          !site.has("ran") || site["ran"].boolean()};
}

std::vector<Finding> findings_of(const Place& place) {
    std::vector<Finding> out;
    if (!place.has("findings")) {
        return out;
    }
    for (const Place& finding : place["findings"].elements()) {
        out.push_back({quantity_of(finding["quantity"]), finding["text"].text()});
    }
    return out;
}

Verdict verdict_of(const Place& place) {
    const auto verdict = parse_verdict(place.text());
    if (!verdict) {
        refuse_unknown(place);
    }
    return *verdict;
}

Judgement judgement_of(const Place& place) {
    return {verdict_of(place["verdict"]), place["reason"].text(), findings_of(place)};
}

Element element_of(const Place& place) {
    return {place["head"].small(), place["row"].integer(),   place["column"].integer(),
            place["got"].real(),   place["expected"].real(), place["bound"].real()};
}

Duration duration_of(const Place& place) {
    constexpr std::array clocks{datasets::Clock::none,           datasets::Clock::host_wall,
                                datasets::Clock::host_share,     datasets::Clock::device_wall,
                                datasets::Clock::emulation_wall, datasets::Clock::modelled};
    Duration out{place.measured(), place["clock"].one_of(clocks), {}};
    if (place.has("samples")) {
        for (const Place& sample : place["samples"].elements()) {
            out.samples_seconds.push_back(sample.real());
        }
        if (place["statistic"].text() != out.statistic) {
            refuse_unknown(place["statistic"]);
        }
    }
    return out;
}

namespace {

LaunchTimes launch_times_of(const Place& place) {
    LaunchTimes out;
    out.total = duration_of(place["total"]);
    out.split.submit_seconds = place["submit"].measured();
    out.split.wait_seconds = place["wait"].measured();
    out.split.to_device_seconds = place["to_device"].measured();
    out.split.from_device_seconds = place["from_device"].measured();
    out.split.submissions = place["submissions"].counted();
    out.split.switches = place["context_switches"].counted();
    out.launches = place["launches"].counted();
    out.warm_ups = static_cast<int>(place["warm_ups"].counted());
    return out;
}

}  // namespace

StepTime step_time_of(const Place& place) {
    StepTime out;
    out.ops = range_of(place["ops"]);
    out.cpu = duration_of(place["cpu"]);
    out.npu = duration_of(place["npu"]);
    out.launches = place["launches"].counted();
    out.tiles = place["tiles"].counted();
    out.bytes = place["bytes"].counted();
    out.speedup = place["speedup"].measured();
    if (place.has("launch_times")) {
        out.launch_times = launch_times_of(place["launch_times"]);
        out.npu_modelled = duration_of(place["npu_modelled"]);
    }
    return out;
}

}  // namespace harness
