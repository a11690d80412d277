#include "harness/data_trust.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "harness/bounds.hpp"

namespace harness {
namespace {

// What an effect must exceed.
struct Needed {
    double weight = 0;  // b
    double bias = 0;    // 2 u
};

struct ClassInfo {
    std::string_view name;
    double (*of_head)(const HeadStatistics&);    // null: of the layer
    double (*of_layer)(const LayerStatistics&);  // null: of the head
    double (*needed)(const Needed&);
    Probe probe;               // that shows it, whatever the data
    std::string_view because;  // of what does not show it
};

double weight(const Needed& needed) {
    return needed.weight;
}

using Head = const HeadStatistics&;
using Layer = const LayerStatistics&;

constexpr std::array<ClassInfo, fault_class_count> table{{
    {"padding_unmasked", [](Head h) { return h.padding_share; }, nullptr, weight, Probe::ones,
     "padding would take too little of any row"},
    // Distance beyond 88 or below -87, as a share.
    {"no_maximum", [](Head h) { return std::max(h.highest_logit / 88, h.lowest_row_max / -87); }, nullptr,
     [](const Needed&) { return 1.0; }, Probe::raised_keys, "no row's largest logit leaves -87..88"},
    {"exponent_range", [](Head h) { return h.widest_row; }, nullptr, [](const Needed&) { return 128.0; },
     Probe::one_hot, "logits of a row lie within 128"},
    {"no_rescale", [](Head h) { return h.rescaled_share; }, nullptr, weight, Probe::one_hot,
     "no maximum grows over earlier tiles of any weight"},
    {"narrow_sum", [](Head h) { return h.effective_keys; }, nullptr, [](const Needed&) { return 512.0; },
     Probe::ones, "too few keys share a row's probability"},
    {"wrong_scale", [](Head h) { return h.scale_share; }, nullptr, weight, Probe::deep_keys,
     "logits of a row are alike"},
    {"scale_off", [](Head h) { return (8 / std::sqrt(63.0) - 1) * h.scale_slope; }, nullptr, weight,
     Probe::deep_keys, "keys of other logits have values too alike"},
    {"last_key_dropped", [](Head h) { return h.last_key_share; }, nullptr, weight, Probe::one_hot,
     "the last key has too little of any row"},
    {"bias_missing", nullptr, [](Layer l) { return l.smallest_bias; },
     [](const Needed& needed) { return needed.bias; }, Probe::integers, "a bias is too small to be seen"},
    {"heads_exchanged", [](Head h) { return h.next_head; }, nullptr, weight, Probe::one_hot,
     "heads are alike"},
    {"rows_shifted", [](Head h) { return h.neighbours; }, nullptr, weight, Probe::one_hot,
     "rows of some block are alike in every head"},
    {"tiles_exchanged", [](Head h) { return h.blocks; }, nullptr, weight, Probe::one_hot,
     "blocks of 64 rows are alike in every head"},
    {"stale_output", nullptr, [](Layer l) { return l.mirrored_rows; }, weight, Probe::one_hot,
     "the input reads the same backwards"},
}};

Needed needed_for(const datasets::Arithmetic& softmax) {
    const double unit = store_unit(softmax);
    const double argument =
        softmax.exp_argument == datasets::DType::f32 ? 0 : datasets::bf16_unit(softmax.exp_argument_rounding);
    const double weights = (1 + softmax.exp_error) * (1 + softmax.exp_error) * (1 + argument) - 1;
    return {2 * weights / (1 - weights) + unit, 2 * std::max(unit, 0x1p-20)};
}

// The largest effect in any head or layer.
TrustRow measured(FaultClass fault, const ClassInfo& info, std::span<const LayerStatistics> layers,
                  const Needed& needed) {
    TrustRow row;
    row.fault = fault;
    row.needed = info.needed(needed);
    for (const LayerStatistics& layer : layers) {
        const auto take = [&](double effect, const std::string& where) {
            if (effect > row.effect || row.where.empty()) {
                row.effect = effect;
                row.where = fmt::format("{} layer {}{}", layer.clip, layer.layer, where);
            }
        };
        if (info.of_layer != nullptr) {
            take(info.of_layer(layer), "");
        }
        for (const HeadStatistics& head : layer.heads) {
            if (info.of_head != nullptr) {
                take(info.of_head(head), fmt::format(" head {}", head.head));
            }
        }
    }
    return row;
}

// Whether such a row of a probe would have shown the fault.
bool shows(const ProbeRow& row, FaultClass fault, bool ragged) {
    const bool several_tiles = row.shape.context > datasets::block_rows;
    switch (fault) {
        case FaultClass::padding_unmasked:
            return row.shape.context % datasets::block_rows != 0;
        case FaultClass::bias_missing:
            // Of the model of small integers, whose projections all have biases that count.
            return row.op == datasets::Op::query || row.op == datasets::Op::value ||
                   row.op == datasets::Op::output;
        case FaultClass::wrong_scale:
        case FaultClass::scale_off:
            return ragged && several_tiles;  // its logits spread, whatever those of the recording do
        case FaultClass::no_maximum:
            return true;
        default:
            return several_tiles;
    }
}

// Whether a row of the probe shows the fault, and all of the probe's rows passed.
bool stands_in(Probe probe, FaultClass fault, const ProbesRun& probes) {
    bool shown = false;
    for (const bool ragged : {false, true}) {
        for (const ProbeRow& row : ragged ? probes.ragged : probes.layers) {
            if (row.probe != probe || row.judgement.verdict == Verdict::covered) {
                continue;
            }
            if (row.judgement.verdict != Verdict::passed) {
                return false;
            }
            shown = shown || shows(row, fault, ragged);
        }
    }
    return shown;
}

}  // namespace

std::string_view name(FaultClass fault) {
    return table[static_cast<std::size_t>(fault)].name;
}

std::vector<TrustRow> judge_trust(std::span<const LayerStatistics> layers,
                                  const datasets::Arithmetic& softmax, const ProbesRun& probes) {
    const Needed needed = needed_for(softmax);
    std::vector<TrustRow> out;
    for (int i = 0; i < fault_class_count; ++i) {
        const auto fault = static_cast<FaultClass>(i);
        const ClassInfo& info = table[static_cast<std::size_t>(i)];
        TrustRow row = measured(fault, info, layers, needed);
        if (row.effect > row.needed) {
            row.judgement = {Verdict::passed, "", {}};
        } else {
            const std::string reason =
                fmt::format("{}: {:.3g}, and {:.3g} is needed", info.because, row.effect, row.needed);
            row.judgement = stands_in(info.probe, fault, probes)
                                ? Judgement{Verdict::covered,
                                            fmt::format("{}; covered by probe {}", reason, name(info.probe)),
                                            {}}
                                : Judgement{Verdict::mistrusted, reason, {}};
        }
        out.push_back(std::move(row));
    }
    return out;
}

}  // namespace harness
