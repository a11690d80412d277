#include "harness/run_figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

namespace harness {
namespace {

constexpr std::array quantities{
    FigureQuantity{"CPU ms", FigureNature::time, Better::lower},
    FigureQuantity{"NPU ms", FigureNature::time, Better::lower},
    FigureQuantity{"launches", FigureNature::count, Better::neither},
    FigureQuantity{"tiles", FigureNature::count, Better::neither},
    FigureQuantity{"bytes", FigureNature::count, Better::neither},
    FigureQuantity{"rho", FigureNature::accuracy, Better::lower},
    FigureQuantity{"match %", FigureNature::accuracy, Better::higher},
    FigureQuantity{"worst row error", FigureNature::accuracy, Better::lower},
    FigureQuantity{"worst tile error", FigureNature::accuracy, Better::lower},
    FigureQuantity{"headroom dB", FigureNature::accuracy, Better::higher},
    FigureQuantity{"differing elements", FigureNature::accuracy, Better::lower},
    FigureQuantity{"CPU RTF", FigureNature::derived, Better::lower},
    FigureQuantity{"NPU RTF", FigureNature::derived, Better::lower},
    FigureQuantity{"RTF", FigureNature::derived, Better::lower},
    FigureQuantity{"verdict", FigureNature::verdict, Better::neither},
};

constexpr std::array fields{
    KeyField{"machine", &EnvironmentKey::machine},
    KeyField{"cpu", &EnvironmentKey::cpu},
    KeyField{"cores", &EnvironmentKey::cores},
    KeyField{"threads", &EnvironmentKey::threads},
    KeyField{"blas", &EnvironmentKey::blas, true},
    KeyField{"blas_kernels", &EnvironmentKey::blas_kernels, true},
    KeyField{"compiler", &EnvironmentKey::compiler, true},
    KeyField{"flags", &EnvironmentKey::flags, true},
    KeyField{"build_type", &EnvironmentKey::build_type, true},
    KeyField{"device", &EnvironmentKey::device},
    KeyField{"device_model", &EnvironmentKey::device_model},
    KeyField{"npu", &EnvironmentKey::npu},
    KeyField{"xrt", &EnvironmentKey::xrt},
    KeyField{"firmware", &EnvironmentKey::firmware},
    KeyField{"power_mode", &EnvironmentKey::power_mode},
    KeyField{"emulation", &EnvironmentKey::emulation},
    KeyField{"design", &EnvironmentKey::design},
    KeyField{"design_sha256", &EnvironmentKey::design_sha256, true},
    KeyField{"placement", &EnvironmentKey::placement},
    KeyField{"head", &EnvironmentKey::head},
    KeyField{"context", &EnvironmentKey::context},
    KeyField{"recording", &EnvironmentKey::recording},
};

}  // namespace

std::string_view name(FigureKind kind) {
    switch (kind) {
        case FigureKind::measured:
            return "measured";
        case FigureKind::counted:
            return "counted";
        case FigureKind::modelled:
            return "modelled";
        case FigureKind::computed:
            return "computed";
    }
    return "unknown";
}

std::optional<FigureKind> parse_figure_kind(std::string_view word) {
    for (const FigureKind kind :
         {FigureKind::measured, FigureKind::counted, FigureKind::modelled, FigureKind::computed}) {
        if (name(kind) == word) {
            return kind;
        }
    }
    return std::nullopt;
}

std::span<const FigureQuantity> figure_quantities() {
    return quantities;
}

const FigureQuantity& figure_quantity(std::string_view name) {
    const auto found = std::ranges::find(quantities, name, &FigureQuantity::name);
    if (found == quantities.end()) {
        throw std::invalid_argument(fmt::format("no figure is called '{}'", name));
    }
    return *found;
}

FigureIdentity identity_of(const Figure& figure) {
    return {figure.row, figure.part, figure.clip, figure.input, figure.quantity, figure.kind};
}

std::vector<double> times_of(const Figure& figure) {
    std::vector<double> out = figure.samples;
    if (out.empty()) {
        out.push_back(figure.value);
    }
    std::erase_if(out, [](double time) { return !(std::isfinite(time) && time > 0); });
    return out;
}

std::string_view day_of(const RunFigures& run) {
    return std::string_view(run.created_utc).substr(0, std::string_view("YYYY-MM-DD").size());
}

std::span<const KeyField> key_fields() {
    return fields;
}

std::string key_difference(const EnvironmentKey& here, const EnvironmentKey& there, KeyFields which) {
    std::string out;
    for (const KeyField& field : fields) {
        if (which != KeyFields::all && field.of_build != (which == KeyFields::of_build)) {
            continue;
        }
        if (here.*field.value != there.*field.value) {
            const auto shown = [](const std::string& text) { return text.empty() ? "nothing" : text; };
            out += fmt::format("{}{}: {} here, {} there", out.empty() ? "" : "; ", field.name,
                               shown(here.*field.value), shown(there.*field.value));
        }
    }
    return out;
}

}  // namespace harness
