// The command line, parsed once into plain values. Strings become enums here and nowhere else.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "datasets/arithmetic.hpp"
#include "datasets/synthetic.hpp"
#include "harness/experiment.hpp"

namespace harness {

// A mistake in the command line: exit code 2.
class UsageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

enum class Color : std::uint8_t { automatic, always, never };

struct CommonOptions {
    int threads = 0;  // 0: as many as there are cores
    bool quiet = false;
    Color color = Color::automatic;
};

// `harness --layer all --compare`
struct CompareOptions {
    CommonOptions common;
    std::string layers = "all";  // "all" or a list such as "0-2,5"; the recording knows which exist
    std::string dataset;         // empty: the default recording
    std::string clip;            // empty: all
    std::optional<std::int64_t> context;
    std::string design = "unfused";
    std::string device = "emulated";
    datasets::Emulation emulation = datasets::Emulation::fast;
    std::string json;   // empty: none
    std::string junit;  // empty: none
    Selection selection;
};

// `harness record`
struct RecordOptions {
    CommonOptions common;
    datasets::SyntheticModel model;
    datasets::DType store = datasets::DType::f32;
    double audio_seconds = 0;
    std::string out;
};

// `harness inspect FILE`
struct InspectOptions {
    CommonOptions common;
    std::string file;
};

// `harness list`
struct ListOptions {
    CommonOptions common;
    bool designs = false;  // nothing but them
    std::int64_t context = 1500;
};

// `harness gate --kernel FILE --as ROLE`
struct GateOptions {
    CommonOptions common;
    std::string kernel;
    std::string role;
    std::string symbol;  // empty: the role
    std::vector<std::string> include;
    std::vector<std::string> define;  // NAME or NAME=VALUE
    double limit_seconds = 60;
};

// `--help` and `--version`: text for standard output, exit code 0.
struct PrintText {
    std::string text;
};

using Command =
    std::variant<PrintText, CompareOptions, RecordOptions, InspectOptions, ListOptions, GateOptions>;

// Throws UsageError, whose one line lists what is valid.
Command parse_command_line(int argc, const char* const* argv);

// Layers of "all" or of a list such as "0-2,5" in ascending order. Throws UsageError for what a recording of
// these layers (ascending) does not have.
std::vector<int> parse_layers(const std::string& text, const std::vector<int>& recorded);

}  // namespace harness
