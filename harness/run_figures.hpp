// A run as a flat list of figures, each with its kind, and what must be equal for two runs to be compared:
// what a history keeps and a regression check reads.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "harness/gate.hpp"

namespace harness {

// How a figure came about, to the last line printed.
enum class FigureKind : std::uint8_t {
    measured,  // by a clock: another run gives another value
    counted,   // by the device
    modelled,  // by the time model
    computed,  // from the values of tensors: the same bits give the same figure
};

std::string_view name(FigureKind kind);
std::optional<FigureKind> parse_figure_kind(std::string_view name);

// What a figure is about, and so how two of them are compared.
enum class FigureNature : std::uint8_t {
    time,      // lower is better
    count,     // neither
    accuracy,  // see FigureQuantity::better
    derived,   // of times that are figures of their own: kept, not compared
    verdict,   // of something that has no other figure; no value
};

enum class Better : std::uint8_t { lower, higher, neither };

struct FigureQuantity {
    std::string_view name;  // with its unit
    FigureNature nature{};
    Better better{};
};

// Every quantity that a figure can have.
std::span<const FigureQuantity> figure_quantities();

// Throws std::invalid_argument for a name that is not in the list.
const FigureQuantity& figure_quantity(std::string_view name);

struct Figure {
    std::string row;       // an op, a range of ops ("scores..context"), a probe, or the scope of a whole
    std::string part;      // "stem", "layer 3", "end", "T = 63", or empty: the whole
    std::string clip;      // empty: of no clip
    std::string input;     // isolated, chained, or empty
    std::string quantity;  // one of figure_quantities()
    FigureKind kind{};
    double value = 0;                // not a number where it says nothing
    std::vector<double> samples;     // in the unit of the value; empty where it is not of samples
    std::optional<Verdict> verdict;  // of what it belongs to, where that is judged
};

// What a figure shares with the same figure of another run: all but value, samples and verdict.
using FigureIdentity =
    std::tuple<std::string, std::string, std::string, std::string, std::string, FigureKind>;
FigureIdentity identity_of(const Figure& figure);

// Its samples, or its value where it has none; only what is positive and finite, as times are.
std::vector<double> times_of(const Figure& figure);

// What must be equal for a comparison to say anything. A field that run.json does not hold is empty.
struct EnvironmentKey {
    std::string machine;
    std::string cpu;
    std::string cores;
    std::string threads;
    std::string blas;
    std::string blas_kernels;
    std::string compiler;
    std::string flags;
    std::string build_type;
    std::string device;
    std::string device_model;  // the specification behind modelled times
    std::string npu;
    std::string xrt;
    std::string firmware;
    std::string power_mode;
    std::string emulation;
    std::string design;
    std::string design_sha256;
    std::string placement;
    std::string head;
    std::string context;
    std::string recording;  // hash of its content; of a run over an encoder: of checkpoint and audio

    bool operator==(const EnvironmentKey&) const = default;
};

struct KeyField {
    std::string_view name;
    std::string EnvironmentKey::*value;
    bool of_build = false;  // what a build brings with it, and so may differ where builds are compared
};

// Every field, in the order of the struct.
std::span<const KeyField> key_fields();

// Which fields a comparison of two keys is about.
enum class KeyFields : std::uint8_t { all, of_build, not_of_build };

// Those that differ, as "threads: 2 here, 8 there" joined by "; "; empty where none does.
std::string key_difference(const EnvironmentKey& here, const EnvironmentKey& there,
                           KeyFields which = KeyFields::all);

struct RunFigures {
    std::string file;    // that it was read from, for messages
    std::string sha256;  // of run.json, however it is laid out: the identity of the run
    std::string created_utc;
    std::string commit;
    std::string command;
    std::string system;  // operating system and its release
    std::string scope;   // which layers ran, "0-2,5 end"
    Verdict verdict = Verdict::not_run;
    int exit_code = 0;
    std::string missing;  // of the part of a sharded run: that it is one, in words
    EnvironmentKey key;
    std::vector<Figure> figures;
};

// The night that the run is of: its date (UTC), YYYY-MM-DD.
std::string_view day_of(const RunFigures& run);

}  // namespace harness
