// Level 3 of the gate: runs a prepared layer on operands whose result is known in closed form.
//
// A probe needs no golden. It shows what recorded data may hide: padding that takes part where every recorded
// logit is far above 0, a maximum that is not subtracted while logits stay below 88, a layout error among
// rows that look alike. Expectations are closed forms; how far a correct kernel may lie from them follows
// from the declared arithmetic (probe_bound.hpp, bounds.hpp). Every head and row is computed and compared,
// but for raised_keys and deep_keys, where three blocks of each head are judged, the others must be finite.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "datasets/path.hpp"
#include "harness/probe_data.hpp"
#include "harness/probe_layer.hpp"
#include "harness/probe_row.hpp"
#include "reference/golden_source.hpp"

namespace harness {

// What the probes of one layer build upon.
struct ProbeBase {
    datasets::LayerShape shape;
    const datasets::Source& upstream;  // query, key and value of the layer
    std::vector<LogitMaxima> maxima;   // [head], of the scaled logits of the rows
};

// Of the row maxima of the scaled logits, [head, time].
std::vector<LogitMaxima> logit_maxima(std::span<const float> row_max, datasets::LayerShape shape);

// Whether some steps of the path compute scores to context.
bool probes_apply(const datasets::Path& path);

// One row per probe, of one head or (-1) all. `integers` is covered where a fused step keeps scores and
// probabilities on the core. Throws what `compute` throws, but npu_impl::IntegrityError, which fails a row.
std::vector<ProbeRow> run_probes(datasets::PreparedLayer& prepared, const datasets::Path& path,
                                 const ProbeBase& base, int only_head);

// The same on what the golden made of a layer. `reproduce`: a command that runs the layer, to which a failed
// row adds its selection.
std::vector<ProbeRow> run_layer_probes(datasets::PreparedLayer& prepared, const datasets::Path& path,
                                       const reference::GoldenSource& golden, datasets::LayerShape shape,
                                       int only_head, const std::string& reproduce);

// The contexts at which tiles, waves and their padding end differently.
inline constexpr std::int64_t ragged_contexts[] = {1, 63, 64, 65, 127, 1499, 1500, 3001};
inline constexpr int ragged_heads = 2;

// The same probes on a model of so many heads with small integer weights, at one context; and the projections
// on integers, whose sums are exact too. Depends on the path alone, not on any recording.
std::vector<ProbeRow> run_ragged_probes(datasets::Path& path, std::int64_t context);

// What is judged of the probes of a recording.
struct ProbeSelection {
    std::vector<int> layers;       // each the number of a probe
    int head = -1;                 // -1: all
    std::set<datasets::Op> ops{};  // empty: all

    [[nodiscard]] bool judges(datasets::Op op) const;
    [[nodiscard]] bool judges_core() const;  // any of scores to context
};

// One probe on its own layer (probe_layer), as far as the path emits it: scores to context, every block of
// it; for `integers` each projection and the scores.
std::vector<ProbeRow> run_known_probe(datasets::PreparedLayer& prepared, const datasets::Path& path,
                                      const KnownLayer& known, Probe probe, const ProbeSelection& selection);

}  // namespace harness
