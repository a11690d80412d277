#include "npu_impl/design.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "datasets/sha256.hpp"
#include "npu_impl/manifest.hpp"

namespace npu_impl {
namespace {

using datasets::Op;

kernels::Store store_of(datasets::DType type, datasets::Rounding rounding) {
    if (type == datasets::DType::f32) {
        return kernels::Store::f32;
    }
    switch (rounding) {
        case datasets::Rounding::nearest_even:
            return kernels::Store::bf16_nearest_even;
        case datasets::Rounding::toward_zero:
            return kernels::Store::bf16_toward_zero;
        case datasets::Rounding::floor:
            break;
    }
    return kernels::Store::bf16_floor;
}

const ClassDesign& named(const Catalogue& catalogue, std::string_view name) {
    const auto found = std::ranges::find(catalogue.designs, name, &ClassDesign::name);
    if (found == catalogue.designs.end()) {
        std::vector<std::string> valid;
        for (const Combination& combination : catalogue.combinations) {
            valid.push_back(combination.name);
        }
        for (const ClassDesign& design : catalogue.designs) {
            valid.push_back(design.name);
        }
        throw std::invalid_argument(
            fmt::format("unknown design '{}'; valid: {}, or a list with one of each class", name,
                        fmt::join(valid, ", ")));
    }
    return *found;
}

bool covers(OpClass op_class, Op op) {
    const std::vector<Op> ops = ops_of(op_class);
    return std::ranges::find(ops, op) != ops.end();
}

// One design per class, or none.
class Choice {
public:
    explicit Choice(const Catalogue& catalogue) : catalogue_(catalogue) {}

    void add(std::string_view name) {
        const auto combination = std::ranges::find(catalogue_.combinations, name, &Combination::name);
        if (combination == catalogue_.combinations.end()) {
            add(named(catalogue_, name));
            return;
        }
        for (const std::string& member : combination->designs) {
            add(named(catalogue_, member));
        }
    }

    void complete() {
        if (of(OpClass::gemm) == nullptr) {
            add(catalogue_.default_gemm);
        }
        if (of(OpClass::gelu) == nullptr) {
            add(catalogue_.default_gelu);
        }
        if (of(OpClass::norm) == nullptr) {
            add(catalogue_.default_norm);
        }
        if (of(OpClass::attention) == nullptr && of(OpClass::softmax) == nullptr) {
            add(catalogue_.default_softmax);
        }
        if (of(OpClass::attention) != nullptr && of(OpClass::softmax) != nullptr) {
            throw std::invalid_argument(fmt::format("design {} leaves nothing for {}: name one of them",
                                                    of(OpClass::attention)->name,
                                                    of(OpClass::softmax)->name));
        }
    }

    [[nodiscard]] const ClassDesign* of(OpClass op_class) const {
        return chosen_[static_cast<std::size_t>(op_class)];
    }

    // Of the complete choice.
    [[nodiscard]] const ClassDesign& owner(Op op) const {
        if (of(OpClass::attention) != nullptr && Op::scores <= op && op <= Op::context) {
            return *of(OpClass::attention);
        }
        for (const OpClass op_class : {OpClass::softmax, OpClass::gelu, OpClass::norm}) {
            if (covers(op_class, op)) {
                return *of(op_class);
            }
        }
        return *of(OpClass::gemm);
    }

    [[nodiscard]] std::string declaration_sha256() const {
        datasets::Sha256 hash;
        for (const ClassDesign* design : chosen_) {
            hash.update(design == nullptr ? std::string_view("none\n") : design->declaration);
        }
        return hash.finish();
    }

    bool operator==(const Choice& other) const { return chosen_ == other.chosen_; }

private:
    void add(const ClassDesign& design) {
        const ClassDesign*& place = chosen_[static_cast<std::size_t>(design.op_class)];
        if (place != nullptr) {
            throw std::invalid_argument(fmt::format("designs {} and {} are both of the class {}", place->name,
                                                    design.name, name(design.op_class)));
        }
        place = &design;
    }

    const Catalogue& catalogue_;
    std::array<const ClassDesign*, op_class_count> chosen_{};
};

Choice choice_of(const Catalogue& catalogue, std::span<const std::string_view> names) {
    Choice choice(catalogue);
    for (const std::string_view name : names) {
        choice.add(name);
    }
    choice.complete();
    return choice;
}

Choice choice_of(const Catalogue& catalogue, const Combination& combination) {
    Choice choice(catalogue);
    choice.add(combination.name);
    choice.complete();
    return choice;
}

void label(Design& design, const Catalogue& catalogue, const Choice& choice) {
    for (const Combination& combination : catalogue.combinations) {
        if (choice_of(catalogue, combination) == choice) {
            design.name = combination.name;
            design.summary = combination.summary;
            return;
        }
    }
    const ClassDesign& gemm = *choice.of(OpClass::gemm);
    const ClassDesign& square = choice.owner(Op::probabilities);
    design.name = gemm.name + "," + square.name;
    design.summary = gemm.summary + "; " + square.summary;
    for (const ClassDesign* other : {choice.of(OpClass::gelu), choice.of(OpClass::norm)}) {
        if (other->name != catalogue.default_gelu && other->name != catalogue.default_norm) {
            design.name += "," + other->name;
            design.summary += "; " + other->summary;
        }
    }
}

// The designs of some classes in this build's manifest.
std::vector<std::string> names_of(std::initializer_list<OpClass> classes) {
    std::vector<std::string> list;
    for (const ClassDesign& design : catalogue().designs) {
        if (std::ranges::find(classes, design.op_class) != classes.end()) {
            list.push_back(design.name);
        }
    }
    return list;
}

// Each with each, joined by a comma.
std::vector<std::string> joined(const std::vector<std::string>& first,
                                const std::vector<std::string>& second) {
    std::vector<std::string> list;
    for (const std::string& one : first) {
        for (const std::string& other : second) {
            list.push_back(one + "," + other);
        }
    }
    return list;
}

}  // namespace

std::string_view name(OpClass op_class) {
    constexpr std::array<std::string_view, op_class_count> names{"gemm", "softmax", "attention", "gelu",
                                                                 "norm"};
    return names[static_cast<std::size_t>(op_class)];
}

std::vector<Op> ops_of(OpClass op_class) {
    switch (op_class) {
        case OpClass::gemm:
            return {Op::query, Op::key, Op::value, Op::scores, Op::context, Op::output, Op::fc1, Op::fc2};
        case OpClass::softmax:
            return {Op::probabilities};
        case OpClass::gelu:
            return {Op::gelu};
        case OpClass::norm:
            return {Op::attention_norm, Op::mlp_norm, Op::encoder};
        case OpClass::attention:
            break;
    }
    return {Op::scores, Op::probabilities, Op::context};
}

int Design::cores() const {
    return std::ranges::max(steps, {}, &StepDesign::cores).cores;
}

bool Design::covers(Op op) const {
    return std::ranges::any_of(steps, [op](const StepDesign& step) { return step.ops.contains(op); });
}

bool Design::fused() const {
    return std::ranges::any_of(steps, [](const StepDesign& step) { return step.ops.first != step.ops.last; });
}

bool Design::emits(Op op) const {
    return std::ranges::any_of(steps, [op](const StepDesign& step) { return step.ops.last == op; });
}

const datasets::Arithmetic& Design::arithmetic_of(Op op) const {
    if (!covers(op)) {
        throw std::invalid_argument("design " + name + " declares no arithmetic of " +
                                    std::string(datasets::name(op)));
    }
    return arithmetic[index_of(op)];
}

const StepDesign& Design::step_of(Op op) const {
    const auto found =
        std::ranges::find_if(steps, [op](const StepDesign& step) { return step.ops.contains(op); });
    if (found == steps.end()) {
        throw std::invalid_argument("design " + name + " has no step for " + std::string(datasets::name(op)));
    }
    return *found;
}

std::int64_t Design::core_bytes(const KernelDesign& kernel) const {
    std::int64_t bytes = stack_bytes;
    for (const CoreBuffer& buffer : kernel.core_memory) {
        bytes += buffer.total();
    }
    return bytes;
}

TileOutput tile_output(const datasets::Arithmetic& arithmetic) {
    if (arithmetic.tile_sum == datasets::TileSum::on_host) {
        return {store_of(arithmetic.tile_store, arithmetic.tile_rounding), true};
    }
    return {store_of(arithmetic.store, arithmetic.store_rounding), false};
}

std::int64_t bytes_of(datasets::DType type) {
    return type == datasets::DType::f32 ? 4 : 2;
}

std::int64_t bytes_of(kernels::Store store) {
    return store == kernels::Store::f32 ? 4 : 2;
}

const Catalogue& catalogue() {
    static const Catalogue from_manifest = parse_manifest(embedded_manifest());
    return from_manifest;
}

Design compose(const Catalogue& catalogue, std::span<const std::string_view> names) {
    const Choice choice = choice_of(catalogue, names);
    Design design;
    label(design, catalogue, choice);
    design.tile = choice.of(OpClass::gemm)->tile;
    design.l1_bytes = catalogue.l1_bytes;
    design.stack_bytes = catalogue.stack_bytes;
    design.declaration_sha256 = choice.declaration_sha256();
    for (const datasets::OpInfo& op : datasets::ops_in(device_ops)) {
        if (op.op == Op::attention_residual || op.op == Op::block) {
            continue;
        }
        const ClassDesign& owner = choice.owner(op.op);
        design.arithmetic[index_of(op.op)] = owner.arithmetic[index_of(op.op)];
        for (const StepDesign& step : owner.steps) {
            if (step.ops.last == op.op) {
                design.steps.push_back(step);
            }
        }
    }
    return design;
}

Design compose(std::string_view list) {
    std::vector<std::string_view> names;
    for (std::size_t begin = 0; begin <= list.size();) {
        const std::size_t end = std::min(list.find(',', begin), list.size());
        names.push_back(list.substr(begin, end - begin));
        begin = end + 1;
    }
    return compose(catalogue(), names);
}

std::span<const Design> designs() {
    static const std::vector<Design> all = [] {
        std::vector<Design> list;
        const auto add = [&](std::string_view names) {
            Design design = compose(names);
            if (std::ranges::find(list, design.name, &Design::name) == list.end()) {
                list.push_back(std::move(design));
            }
        };
        for (const Combination& combination : catalogue().combinations) {
            add(combination.name);
        }
        for (const std::string& block : joined(names_of({OpClass::gelu}), names_of({OpClass::norm}))) {
            for (const std::string& attention :
                 joined(names_of({OpClass::gemm}), names_of({OpClass::softmax, OpClass::attention}))) {
                add(attention + "," + block);
            }
        }
        return list;
    }();
    return all;
}

const Design* find_design(std::string_view list) {
    try {
        const auto all = designs();
        const auto found = std::ranges::find(all, compose(list).name, &Design::name);
        return found == all.end() ? nullptr : &*found;
    } catch (const std::invalid_argument&) {
        return nullptr;
    }
}

}  // namespace npu_impl
