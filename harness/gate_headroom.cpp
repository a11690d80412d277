#include "harness/gate_headroom.hpp"

#include <algorithm>

namespace harness {
namespace {

Headroom found_wrong(Quantity quantity, const Judgement& judgement) {
    return beside_limit(quantity,
                        double(std::ranges::count(judgement.findings, quantity, &Finding::quantity)));
}

}  // namespace

std::vector<Headroom> headrooms_of(const OpRow& row) {
    std::vector<Headroom> out;
    if (!row.statistics) {
        return out;
    }
    for (const Quantity count :
         {Quantity::nonfinite, Quantity::unwritten, Quantity::coverage, Quantity::guards, Quantity::launches,
          Quantity::store_rounding, Quantity::store_format}) {
        out.push_back(found_wrong(count, row.judgement));
    }
    const OpStatistics& s = *row.statistics;
    if (s.nonfinite == 0 || s.outside > s.nonfinite) {
        out.push_back(beside_limit(Quantity::bound, s.rho));
    }
    if (s.row_sum) {
        out.push_back(beside_limit(Quantity::row_sum, *s.row_sum));
    }
    out.insert(out.end(), row.headroom.begin(), row.headroom.end());
    return out;
}

std::vector<Headroom> headrooms_of(const LayerRow& layer, const datasets::LayerShape& shape) {
    std::vector<Headroom> out;
    if (layer.repeated_elements > 0) {
        out.push_back(beside_limit(Quantity::repeatability, double(layer.differing_elements)));
    }
    if (!layer.output || !headline_applies(*layer.output, shape)) {
        return out;
    }
    out.push_back(beside_limit(Quantity::match, layer.output->match_percent));
    if (out.back().decibel >= 0) {
        out.push_back(beside_limit(Quantity::worst_row, layer.output->worst_row));
        out.push_back(beside_limit(Quantity::worst_tile, layer.output->worst_tile));
    }
    return out;
}

std::vector<Headroom> headrooms_of(const Certificate& certificate, datasets::DType stored) {
    std::vector<Headroom> out;
    for (const auto& [op, error] : certificate.oracle_error) {
        out.push_back(beside_limit(Quantity::golden_error, error));
    }
    for (const auto& [op, error] : certificate.recording_error) {
        out.push_back(beside_limit(
            stored == datasets::DType::bf16 ? Quantity::rounded_recording_error : Quantity::recording_error,
            error));
    }
    return out;
}

std::vector<Headroom> headrooms_of(const ProbeRow& row) {
    if (row.judged == 0) {
        return {};
    }
    const Quantity own = quantity(row.probe);
    if (limit(own).basis == Basis::exact) {
        return {found_wrong(own, row.judgement)};
    }
    std::vector<Headroom> out{beside_limit(own, row.rho)};
    if (row.row_sum_rho > 0) {
        out.push_back(beside_limit(Quantity::probe_row_sum, row.row_sum_rho));
    }
    return out;
}

std::vector<Headroom> headrooms_of(const EncoderDrift& drift, bool only_attention) {
    std::vector<Headroom> out{beside_limit(Quantity::launches, drift.fault.empty() ? 0 : 1)};
    const auto add_match = [&](const Deviation& of) {
        if (of.nonfinite == 0 && drift_applies(of)) {
            out.push_back(beside_limit(Quantity::piece_match, of.match_percent));
        }
    };
    for (const DriftPoint& point : drift.points) {
        add_match(point.isolated);
    }
    if (drift.points.empty()) {
        return out;
    }
    const Deviation& output = drift.points.back().chained;
    add_match(output);
    if (only_attention && drift_applies(output)) {
        out.push_back(beside_limit(Quantity::encoder_match, output.match_percent));
        if (out.back().decibel >= 0) {
            out.push_back(beside_limit(Quantity::encoder_worst_row, output.worst_row));
        }
    }
    return out;
}

}  // namespace harness
