#include "harness/self_check/self_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>

#include "datasets/audio.hpp"
#include "datasets/random_weights.hpp"
#include "datasets/synthetic_speech.hpp"
#include "harness/encoder_experiment.hpp"
#include "harness/interrupt.hpp"
#include "harness/self_check/candidate.hpp"
#include "harness/self_check/findings.hpp"
#include "harness/self_check/variants.hpp"
#include "reference/golden.hpp"

namespace harness {
namespace {

using datasets::OpRange;

std::string name_of(OpRange place) {
    return place.first == place.last
               ? std::string(datasets::name(place.last))
               : fmt::format("{}..{}", datasets::name(place.first), datasets::name(place.last));
}

struct PlannedTrial {
    const Fault* fault;
    const Ground* ground;
    const npu_impl::Design* design;
    OpRange place;
    datasets::Emulation emulation;
};

// What tells designs apart at a place: kernels, cores, launches and arithmetic of its steps.
std::string signature(const npu_impl::Design& design, OpRange place) {
    std::string out;
    for (const npu_impl::StepDesign& step : design.steps) {
        if (step.ops.last < place.first || place.last < step.ops.first) {
            continue;
        }
        const datasets::Arithmetic& a = design.arithmetic_of(step.ops.last);
        out +=
            fmt::format("{} {} {} {} {} {} {} {} {} {};", step.kernel.name, step.cores, step.tiles_per_launch,
                        int(a.operand_rounding), int(a.store), int(a.store_rounding), int(a.accumulation),
                        int(a.tile_sum), int(a.tile_store), int(a.tile_rounding));
    }
    return out;
}

bool in_reach(const Fault& fault, const Setting& scene) {
    if (fault.court == Court::encoder) {
        return true;
    }
    return within_reach(scene.design, scene.ground, scene.place) && (!fault.visible || fault.visible(scene));
}

// What a fault has been tried on.
struct Tried {
    std::set<std::pair<std::string, std::string>> places;  // with signatures
    std::set<std::string> designs;
};

// Adds the trials of one fault on one ground: at every place, or once for each design that was not tried yet.
// A court other than the layer's does not depend on the design.
void plan_on(std::vector<PlannedTrial>& out, const Fault& fault, const Ground& ground, bool every_place,
             const SelfCheckRequest& request, Tried& tried) {
    for (const npu_impl::Design& design : request.designs) {
        for (const OpRange place : fault.places) {
            if (!every_place && tried.designs.contains(design.name)) {
                break;
            }
            const bool any_design = fault.court != Court::layer || fault.seam == Seam::golden;
            if (in_reach(fault, {design, ground, place, request.emulation}) &&
                tried.places.insert({name_of(place), any_design ? "" : signature(design, place)}).second) {
                out.push_back({&fault, &ground, &design, place, request.emulation});
                tried.designs.insert(design.name);
            }
        }
    }
}

bool is_short(const Ground& ground) {
    return ground.layer.shape.context <= SelfCheckRequest::every_place_up_to;
}

// What is judged on an encoder of its own does not depend on the ground.
void plan_fault(std::vector<PlannedTrial>& out, const Fault& fault, const SelfCheckRequest& request) {
    const std::size_t before = out.size();
    std::map<std::string, Tried> tried_at_length;  // by what brings the grounds back: seed and context
    for (const bool last_resort : {false, true}) {
        for (const auto& ground : request.grounds) {
            const bool enough = out.size() > before && (last_resort || fault.court == Court::encoder);
            if (ground->last_resort == last_resort && !enough) {
                const bool every_place = is_short(*ground) && (request.every_place || out.size() == before);
                Tried of_this_ground;
                Tried& tried = is_short(*ground) ? of_this_ground : tried_at_length[ground->arguments];
                plan_on(out, fault, *ground, every_place, request, tried);
            }
        }
    }
}

std::vector<PlannedTrial> plan(const SelfCheckRequest& request) {
    std::vector<PlannedTrial> out;
    for (const Fault& fault : request.faults) {
        if (request.only_fault.empty() || request.only_fault == fault.name) {
            plan_fault(out, fault, request);
        }
    }
    return out;
}

// A small encoder with random weights, and what it hears.
struct SmallEncoder {
    static constexpr std::int64_t context = 130;

    SmallEncoder()
        : pieces(make_pieces(
              datasets::random_weights({.name = "self-check", .mels = 80, .heads = 3, .layers = 2}, 5),
              2 * context, 2)),
          samples(datasets::synthetic_speech(0.02 * double(context), 3).samples) {
        samples.resize(static_cast<std::size_t>(datasets::window_samples));
    }

    EncoderPieces pieces;
    std::vector<float> samples;
};

std::vector<Finding> try_encoder(const PlannedTrial& trial) {
    const SmallEncoder encoder;
    Candidate candidate(trial.fault->plant, *trial.ground, *trial.design, trial.emulation);
    reference::GoldenPath golden;
    const EncoderSelection selection{trial.place == datasets::attention_ops ? "attention" : "all", 1, false};
    return findings_of(run_encoder(encoder.pieces, {"clip", "", "", 2.5, 2.6, encoder.samples}, golden,
                                   candidate.path(), selection, [](std::string_view) {}));
}

std::vector<Finding> try_golden(const PlannedTrial& trial) {
    datasets::LayerCase wrong = trial.ground->attention;
    trial.fault->plant.golden(wrong);
    const reference::GoldenSource golden(wrong);
    return certify(trial.ground->attention, golden, trial.place, Selection{}.row_seed).findings;
}

std::vector<Finding> judge_plant(const PlannedTrial& trial, const Plant& plant) {
    datasets::LayerCase layer = trial.ground->case_for(trial.place);
    if (plant.judged) {
        plant.judged(layer);
    }
    Candidate candidate(plant, *trial.ground, *trial.design, trial.emulation);
    return findings_of(run_trial(layer, *trial.ground, *trial.design, candidate.path(),
                                 {trial.place, {trial.fault->input}, trial.fault->judged}));
}

// Of an equivalent fault only what the healthy design is not found guilty of: an honest match may miss 99.9%.
std::vector<Finding> try_layer(const PlannedTrial& trial) {
    std::vector<Finding> found = judge_plant(trial, trial.fault->plant);
    if (!trial.fault->equivalent.empty() && !found.empty()) {
        const std::vector<Finding> healthy = judge_plant(trial, {});
        std::erase_if(found, [&](const Finding& finding) {
            return std::ranges::find(healthy, finding.quantity, &Finding::quantity) != healthy.end();
        });
    }
    return found;
}

// What a run found, or why it did not run.
template <typename Result>
void run_guarded(Result& result, const std::optional<Quantity>& without,
                 const std::function<std::vector<Finding>()>& run) {
    throw_if_interrupted();
    try {
        result.findings = run();
    } catch (const Interrupted&) {
        throw;
    } catch (const std::exception& error) {
        result.error = error.what();
    }
    std::erase_if(result.findings, [&](const Finding& finding) { return finding.quantity == without; });
}

TrialResult run_planned(const PlannedTrial& trial, const std::optional<Quantity>& without) {
    const Fault& fault = *trial.fault;
    TrialResult result{
        fault.name,
        fault.seam,
        fault.own,
        !fault.equivalent.empty(),
        name_of(trial.place),
        trial.ground->name,
        fmt::format("--fault {} {} --design {}", fault.name, trial.ground->arguments, trial.design->name),
        trial.design->name,
        {}};
    run_guarded(result, without, [&] {
        return fault.court == Court::encoder  ? try_encoder(trial)
               : fault.court == Court::golden ? try_golden(trial)
                                              : try_layer(trial);
    });
    return result;
}

// Whether any trial proves that the check fires. Levels 2 and 3 see what level 1 sees, from another side: no
// fault is theirs alone, so that any will do.
bool proven(const std::vector<TrialResult>& trials, const Limit& check) {
    const bool is_second_look = check.level == "L2" || check.level == "L3";
    return std::ranges::any_of(trials, [&](const TrialResult& trial) {
        return !trial.equivalent && trial.as_due() &&
               (is_second_look ? trial.fired(check.quantity) : trial.own == check.quantity);
    });
}

void require_known(const SelfCheckRequest& request) {
    if (request.only_fault.empty()) {
        return;
    }
    std::vector<std::string> names;
    for (const Fault& fault : request.faults) {
        names.push_back(fault.name);
    }
    if (std::ranges::find(names, request.only_fault) == names.end()) {
        std::ranges::sort(names);
        throw std::invalid_argument(
            fmt::format("unknown fault '{}'; valid: {}", request.only_fault, fmt::join(names, ", ")));
    }
}

struct PlannedVariant {
    Variant variant;
    const Ground* ground;
};

// At length, the designs by themselves: a composition has no kernel that is not in one of them.
std::vector<PlannedVariant> plan_variants(const SelfCheckRequest& request) {
    std::vector<PlannedVariant> out;
    if (!request.variants || !request.only_fault.empty()) {
        return out;
    }
    const std::vector<Variant> few = healthy_variants(false);
    for (const Variant& variant : healthy_variants(request.every_composition)) {
        const bool everywhere = std::ranges::find(few, variant.name, &Variant::name) != few.end();
        for (const auto& ground : request.grounds) {
            if (everywhere || is_short(*ground)) {
                out.push_back({variant, ground.get()});
            }
        }
    }
    return out;
}

}  // namespace

std::vector<Quantity> unproven_by(const std::vector<TrialResult>& trials) {
    std::vector<Quantity> out;
    for (const Limit& one : limits()) {
        if (one.gated && !proven(trials, one)) {
            out.push_back(one.quantity);
        }
    }
    return out;
}

bool TrialResult::fired(Quantity check) const {
    return std::ranges::any_of(findings, [check](const Finding& one) { return one.quantity == check; });
}

bool TrialResult::as_due() const {
    return error.empty() && (equivalent ? findings.empty() : fired(own));
}

bool SelfCheckResult::passed() const {
    const auto due = [](const auto& result) { return result.as_due(); };
    return std::ranges::all_of(trials, due) && std::ranges::all_of(variants, due) && unproven.empty() &&
           !(trials.empty() && variants.empty());
}

int stages_of(const SelfCheckRequest& request) {
    return static_cast<int>(plan(request).size() + plan_variants(request).size());
}

SelfCheckResult self_check(const SelfCheckRequest& request, const Progress& progress) {
    require_known(request);
    const std::vector<PlannedTrial> trials = plan(request);
    const std::vector<PlannedVariant> variants = plan_variants(request);
    SelfCheckResult out;
    out.without = request.without;
    out.trials.resize(trials.size());
    out.variants.resize(variants.size());
    std::mutex mutex;
    const auto begin = [&](std::string_view what) {
        const std::scoped_lock lock(mutex);
        progress(what);
    };
    tbb::parallel_for(std::size_t{0}, trials.size() + out.variants.size(), [&](std::size_t i) {
        if (i < trials.size()) {
            begin(trials[i].fault->name);
            out.trials[i] = run_planned(trials[i], request.without);
            return;
        }
        const std::size_t index = i - trials.size();
        const auto& [variant, ground] = variants[index];
        begin(variant.name);
        VariantResult& result = out.variants[index];
        result = {variant.name, variant.says, ground->name, {}};
        run_guarded(result, request.without, [&] { return findings_of(variant, *ground); });
    });
    for (const Fault& fault : request.faults) {
        const bool asked = request.only_fault.empty() || request.only_fault == fault.name;
        if (asked && std::ranges::find(out.trials, fault.name, &TrialResult::fault) == out.trials.end()) {
            out.untried.push_back({fault.name, fault.needs});
        }
    }
    if (request.only_fault.empty() && !request.faults.empty()) {
        out.unproven = unproven_by(out.trials);
    }
    return out;
}

}  // namespace harness
