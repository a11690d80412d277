#include "harness/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/gate_headroom.hpp"

namespace harness {
namespace {

bool never_healthy_beyond(const Headroom& figure) {
    const Basis basis = limit(figure.quantity).basis;
    return basis == Basis::exact || basis == Basis::derived;
}

// NaN is beyond everything.
bool beyond(const Headroom& figure) {
    return !(figure.decibel >= 0);
}

void take(HealthyEnvelope& into, const Headroom& figure, const MeasuredAt& at) {
    const bool worse = into.figures == 0 || std::isnan(figure.decibel) ||
                       (!std::isnan(into.worst.decibel) && figure.decibel < into.worst.decibel);
    if (worse) {
        into.worst = figure;
        into.at = at;
    }
    ++into.figures;
    into.beyond += beyond(figure) ? 1 : 0;
}

// To two digits, away from zero.
double rounded_up(double value) {
    const double unit = std::pow(10.0, std::floor(std::log10(value)) - 1);
    // A value that is such a number already, but for the last bits of the division, stays.
    return std::ceil(value / unit * (1 - 1e-12)) * unit;
}

MeasuredAt at_place(MeasuredAt at, std::string place) {
    at.place = std::move(place);
    return at;
}

}  // namespace

std::string_view name(LimitMark mark) {
    switch (mark) {
        case LimitMark::not_measured:
            return "not measured";
        case LimitMark::holds:
            return "holds";
        case LimitMark::broken:
            return "broken";
        case LimitMark::met:
            return "met";
        case LimitMark::missed:
            return "missed";
        case LimitMark::keeps_room:
            return "keeps room";
        case LimitMark::report_only:
            return "report-only";
    }
    return "unknown";
}

LimitMark CalibratedLimit::mark() const {
    if (fitted.figures + held_out.figures == 0) {
        return LimitMark::not_measured;
    }
    switch (limit(quantity).basis) {
        case Basis::exact:
        case Basis::derived:
            return fitted.beyond + held_out.beyond == 0 ? LimitMark::holds : LimitMark::broken;
        case Basis::criterion:
            return fitted.beyond == 0 ? LimitMark::met : LimitMark::missed;
        case Basis::envelope:
            break;
    }
    if (fitted.figures == 0) {
        return LimitMark::not_measured;
    }
    return fitted.worst.decibel >= least_room_decibel ? LimitMark::keeps_room : LimitMark::report_only;
}

std::optional<double> CalibratedLimit::proposal() const {
    const Limit& now = limit(quantity);
    if (now.basis != Basis::envelope || fitted.figures == 0 || !std::isfinite(fitted.worst.value)) {
        return std::nullopt;
    }
    if (quantity == Quantity::piece_match) {
        return 100 - rounded_up((100 - fitted.worst.value) * std::pow(10.0, least_room_decibel / 10));
    }
    if (fitted.worst.value <= 0) {
        return std::nullopt;
    }
    return rounded_up(fitted.worst.value * std::pow(10.0, least_room_decibel / 20));
}

std::optional<bool> CalibratedLimit::verified() const {
    if (limit(quantity).basis != Basis::envelope || fitted.figures == 0 || held_out.figures == 0) {
        return std::nullopt;
    }
    // A fit without any error proposes nothing: the limit as it is must keep its room.
    const double reach = std::isinf(fitted.worst.decibel) ? 2 * least_room_decibel : fitted.worst.decibel;
    return held_out.worst.decibel >= reach - least_room_decibel;
}

Calibration::Calibration() {
    for (const Limit& one : harness::limits()) {
        limits_.push_back({one.quantity, {}, {}});
    }
}

void Calibration::add(const std::vector<Headroom>& figures, const MeasuredAt& at) {
    const bool healthy = std::ranges::none_of(
        figures, [](const Headroom& figure) { return never_healthy_beyond(figure) && beyond(figure); });
    for (const Headroom& figure : figures) {
        if (!healthy && !(never_healthy_beyond(figure) && beyond(figure))) {
            continue;
        }
        CalibratedLimit& of = limits_[static_cast<std::size_t>(figure.quantity)];
        take(at.part == CalibrationPart::fitted ? of.fitted : of.held_out, figure, at);
    }
}

void Calibration::add(const CaseResult& result, const datasets::LayerShape& shape, datasets::DType stored,
                      MeasuredAt at) {
    const std::string piece = result.layer.layer == end_layer
                                  ? result.layer.clip + ", end"
                                  : fmt::format("{}, layer {}", result.layer.clip, result.layer.layer);
    add(headrooms_of(result.layer.certificate, stored), at_place(at, piece + ", golden"));
    if (!result.layer.certificate.fault.empty()) {
        mistrusted_.push_back({at_place(at, piece), result.layer.certificate.fault});
        return;
    }
    for (const OpRow& row : result.rows) {
        if (row.statistics) {
            add(headrooms_of(row),
                at_place(at, fmt::format("{}, {} ({})", piece, datasets::name(row.op), name(row.input))));
        }
    }
    add(headrooms_of(result.layer, shape), at_place(at, piece));
    for (const ProbeRow& row : result.layer.probes) {
        add(headrooms_of(row), at_place(at, fmt::format("{}, probe {}", piece, name(row.probe))));
    }
}

void Calibration::add(const EncoderDrift& drift, bool only_attention, MeasuredAt at) {
    add(headrooms_of(drift, only_attention), at);
}

void Calibration::add(const std::vector<ProbeRow>& ragged, MeasuredAt at) {
    for (const ProbeRow& row : ragged) {
        add(headrooms_of(row),
            at_place(at, fmt::format("T = {}, probe {}", row.shape.context, name(row.probe))));
    }
}

bool Calibration::sound() const {
    return mistrusted_.empty() && std::ranges::none_of(limits_, [](const CalibratedLimit& one) {
               return one.mark() == LimitMark::broken || one.verified() == false;
           });
}

bool from_checkpoint(const datasets::RecordingInfo& info) {
    return info.source == "recorded" && !info.model_id.starts_with("random-");
}

}  // namespace harness
