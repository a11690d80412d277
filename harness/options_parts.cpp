#include "harness/options_parts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

#include "npu_impl/design.hpp"

namespace harness {
namespace {

const std::map<std::string, datasets::Emulation> emulations{{"fast", datasets::Emulation::fast},
                                                            {"exact", datasets::Emulation::exact}};

const std::map<std::string, Color> colors{
    {"auto", Color::automatic}, {"always", Color::always}, {"never", Color::never}};

}  // namespace

CLI::Validator one_of(const std::string& what, std::vector<std::string> valid) {
    const std::string list = fmt::format("{}", fmt::join(valid, ", "));
    return CLI::Validator(
        [what, valid, list](std::string& value) {
            const bool known = std::ranges::find(valid, value) != valid.end();
            return known ? std::string() : fmt::format("unknown {} '{}'; valid: {}", what, value, list);
        },
        list, what);
}

CLI::Validator finite_number() {
    return {[](std::string& text) {
                double value = 0;
                const bool finite = CLI::detail::lexical_cast(text, value) && std::isfinite(value);
                return finite ? std::string() : fmt::format("{}: not a finite number", text);
            },
            ""};
}

void add_common(CLI::App& app, CommonOptions& common) {
    app.add_option("--threads", common.threads, "Tasks that run at once (default: all cores)")
        ->check(CLI::Range(1, 4096))
        ->type_name("N");
    app.add_flag("--quiet", common.quiet, "No progress, no table: errors and the exit code only");
    app.add_option("--color", common.color, "Colours: auto, always, never")
        ->transform(CLI::CheckedTransformer(colors).description(""))
        ->type_name("WHEN")
        ->default_str("auto");
}

void add_design(CLI::App& app, std::string& design) {
    app.add_option("--design", design,
                   "NPU designs, one per class of ops (others default), or a combination; see `harness list`")
        ->check(accepted_by([](const std::string& designs) { return npu_impl::compose(designs); }))
        ->type_name("NAME,...")
        ->capture_default_str();
}

void add_device(CLI::App& app, std::string& device, datasets::Emulation& emulation,
                npu_impl::XrtSettings& xrt) {
    app.add_option("--device", device, "Device: emulated, xrt")
        ->check(one_of("device", {"emulated", "xrt"}))
        ->type_name("NAME")
        ->capture_default_str();
    app.add_option("--emulation", emulation,
                   "Of the emulated device: fast (fp32 sums where results are stored as bf16) or exact "
                   "(every bit as on the array)")
        ->transform(CLI::CheckedTransformer(emulations).description(""))
        ->type_name("KIND")
        ->default_str("fast");
    app.add_option("--artefacts", xrt.artefacts,
                   "Of the device xrt: the folder with the compiled designs; see `harness artefact`")
        ->type_name("DIR");
    app.add_option_function<int>(
           "--timeout-ms", [&xrt](int limit) { xrt.time_limit = std::chrono::milliseconds(limit); },
           "Of the device xrt: the most that one launch may take")
        ->check(CLI::Range(1, 3'600'000))
        ->type_name("MS")
        ->default_str(fmt::to_string(xrt.time_limit.count()));
}

}  // namespace harness
