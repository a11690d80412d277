#include "npu_impl/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "npu_impl/declaration.hpp"

namespace npu_impl {
namespace {

using datasets::Op;
using nlohmann::json;

// A JSON object, the words to name it by in an error, and the fields that it may have.
class Fields {
public:
    // Of any fields.
    Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {
        if (!object.is_object()) {
            throw ManifestError(fmt::format("manifest: {}: must be an object", where_));
        }
    }

    Fields(const json& object, std::string where, const std::vector<std::string_view>& known)
        : Fields(object, std::move(where)) {
        for (const auto& item : object.items()) {
            if (std::ranges::find(known, item.key()) == known.end()) {
                fail(item.key(), "is not a known field");
            }
        }
    }

    [[noreturn]] void fail(std::string_view field, std::string_view reason) const {
        throw ManifestError(fmt::format("manifest: {}: field '{}' {}", where_, field, reason));
    }

    [[nodiscard]] bool has(const char* field) const { return object_.contains(field); }

    [[nodiscard]] const json& at(const char* field) const {
        const auto found = object_.find(field);
        if (found == object_.end()) {
            fail(field, "is missing");
        }
        return *found;
    }

    [[nodiscard]] std::string text(const char* field) const {
        const json& value = at(field);
        if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
            fail(field, "must be a non-empty string");
        }
        return value.get<std::string>();
    }

    [[nodiscard]] std::int64_t integer(const char* field, std::int64_t low, std::int64_t high) const {
        const json& value = at(field);
        if (!value.is_number_integer() || value.get<double>() < double(low) ||
            value.get<double>() > double(high)) {
            fail(field, fmt::format("must be an integer from {} to {}", low, high));
        }
        return value.get<std::int64_t>();
    }

    [[nodiscard]] const json& array(const char* field) const {
        const json& value = at(field);
        if (!value.is_array() || value.empty()) {
            fail(field, "must be a non-empty array");
        }
        return value;
    }

    template <typename Value>
    [[nodiscard]] Value one_of(const char* field,
                               std::initializer_list<std::pair<std::string_view, Value>> words) const {
        const std::string word = text(field);
        std::string known;
        for (const auto& [name, value] : words) {
            if (name == word) {
                return value;
            }
            known += (known.empty() ? "" : ", ") + std::string(name);
        }
        fail(field, fmt::format("is '{}', not one of: {}", word, known));
    }

    [[nodiscard]] const std::string& where() const { return where_; }

private:
    const json& object_;
    std::string where_;
};

datasets::DType dtype(const Fields& fields, const char* field) {
    return fields.one_of<datasets::DType>(field,
                                          {{"f32", datasets::DType::f32}, {"bf16", datasets::DType::bf16}});
}

datasets::Rounding rounding(const Fields& fields, const char* field) {
    using datasets::Rounding;
    return fields.one_of<Rounding>(field, {{"nearest_even", Rounding::nearest_even},
                                           {"toward_zero", Rounding::toward_zero},
                                           {"floor", Rounding::floor}});
}

void parse_tile_sum(const Fields& fields, datasets::Arithmetic& arithmetic) {
    using datasets::TileSum;
    arithmetic.tile_sum =
        fields.one_of<TileSum>("tile_sum", {{"rounded", TileSum::rounded}, {"on_host", TileSum::on_host}});
    arithmetic.k_tile = int(fields.integer("k_tile", kernels::tile, kernels::tile));
    arithmetic.tile_store = dtype(fields, "tile_store");
    if (arithmetic.tile_store == datasets::DType::bf16) {
        arithmetic.tile_rounding = rounding(fields, "tile_rounding");
    }
}

double fraction(const Fields& fields, const char* field) {
    const json& value = fields.at(field);
    if (!value.is_number() || !(value.get<double>() > 0) || !(value.get<double>() < 1)) {
        fields.fail(field, "must be a number between 0 and 1");
    }
    return value.get<double>();
}

datasets::Arithmetic parse_arithmetic(const json& object, const std::string& where, OpClass op_class) {
    std::vector<std::string_view> known{
        "operand",      "operand_rounding",      "accumulation", "tile_sum",       "k_tile",
        "tile_store",   "tile_rounding",         "store",        "store_rounding", "key_tile",
        "exp_argument", "exp_argument_rounding", "exp_error"};
    if (op_class == OpClass::norm) {
        known.emplace_back("weight_rounding");
    }
    if (op_class == OpClass::gelu) {
        known.insert(known.end(), {"function_error", "function_floor"});
    }
    const Fields fields(object, where, known);
    datasets::Arithmetic arithmetic;
    if (op_class == OpClass::norm) {
        arithmetic.operand_rounding = rounding(fields, "weight_rounding");
    }
    if (op_class == OpClass::gelu) {
        arithmetic.function_error = fraction(fields, "function_error");
        arithmetic.function_floor = fraction(fields, "function_floor");
    }
    arithmetic.operand = dtype(fields, "operand");
    if (arithmetic.operand == datasets::DType::bf16) {
        arithmetic.operand_rounding = rounding(fields, "operand_rounding");
    }
    arithmetic.store = dtype(fields, "store");
    if (arithmetic.store == datasets::DType::bf16) {
        arithmetic.store_rounding = rounding(fields, "store_rounding");
    }
    arithmetic.accumulation = fields.one_of<datasets::Accumulation>(
        "accumulation",
        {{"chain_f32", datasets::Accumulation::chain_f32}, {"vmac_f32", datasets::Accumulation::vmac_f32}});
    if (fields.has("tile_sum")) {
        parse_tile_sum(fields, arithmetic);
    }
    if (fields.has("key_tile")) {
        arithmetic.key_tile = int(fields.integer("key_tile", kernels::tile, kernels::tile));
        arithmetic.exp_argument = dtype(fields, "exp_argument");
        arithmetic.exp_argument_rounding = rounding(fields, "exp_argument_rounding");
        arithmetic.exp_error = fraction(fields, "exp_error");
    }
    return arithmetic;
}

KernelDesign parse_kernel(const json& object, const std::string& design, const std::string& name) {
    const Fields fields(object, design + " kernel " + name, {"function", "source", "summary", "core_memory"});
    KernelDesign kernel;
    kernel.name = name;
    kernel.summary = fields.text("summary");
    kernel.function = fields.one_of<KernelFunction>("function", {{"matmul", KernelFunction::matmul},
                                                                 {"softmax", KernelFunction::softmax},
                                                                 {"attention", KernelFunction::attention},
                                                                 {"norm", KernelFunction::norm},
                                                                 {"gelu", KernelFunction::gelu}});
    kernel.source = fields.one_of<KernelSource>(
        "source", {{"aie2", KernelSource::aie2}, {"scalar", KernelSource::scalar}});
    for (const json& item : fields.array("core_memory")) {
        const Fields buffer(item, fields.where() + " core_memory", {"name", "bytes", "copies"});
        constexpr std::int64_t no_limit = std::numeric_limits<std::int32_t>::max();
        kernel.core_memory.push_back(
            {buffer.text("name"), buffer.integer("bytes", 1, no_limit), int(buffer.integer("copies", 1, 2))});
    }
    return kernel;
}

const json& named(const Fields& section, const char* field, const json& entries, const std::string& name) {
    const auto found = entries.find(name);
    if (found == entries.end()) {
        section.fail(field, fmt::format("refers to '{}', which the manifest does not hold", name));
    }
    return *found;
}

void check_arithmetic(const Fields& fields, const StepDesign& step, const datasets::Arithmetic& arithmetic) {
    if (const std::string_view fault = declaration_fault(step, arithmetic); !fault.empty()) {
        fields.fail("arithmetic", fmt::format("of {} {}", datasets::name(step.ops.last), fault));
    }
}

// What the manifest says before its designs.
struct Shared {
    const json& kernels;
    const json& arithmetic;
    std::int64_t l1_bytes;
    std::int64_t stack_bytes;
};

void check_core_memory(const Fields& fields, const KernelDesign& kernel, const Shared& shared) {
    Design core;
    core.stack_bytes = shared.stack_bytes;
    if (const std::int64_t need = core.core_bytes(kernel); need > shared.l1_bytes) {
        fields.fail("kernel",
                    fmt::format("{} needs {} bytes of a core's {}", kernel.name, need, shared.l1_bytes));
    }
}

// Kernel and arithmetic of every op of the class. The ops of an attention are one step with one kernel.
void parse_ops(const Fields& fields, const Shared& shared, const StepDesign& common, ClassDesign& design) {
    const json& entries = fields.at("ops");
    std::vector<std::string_view> known;
    for (const Op op : ops_of(design.op_class)) {
        known.push_back(datasets::name(op));
    }
    const Fields ops(entries, fields.where() + " ops", known);
    for (const Op op : ops_of(design.op_class)) {
        const std::string name(datasets::name(op));
        const Fields entry(ops.at(name.c_str()), fmt::format("{} {}", fields.where(), name),
                           {"kernel", "arithmetic"});
        const std::string declared = entry.text("arithmetic");
        datasets::Arithmetic& arithmetic = design.arithmetic[index_of(op)];
        arithmetic =
            parse_arithmetic(named(entry, "arithmetic", shared.arithmetic, declared),
                             fmt::format("{} arithmetic {}", fields.where(), declared), design.op_class);
        StepDesign step = common;
        step.ops = {op, op};
        const std::string kernel = entry.text("kernel");
        step.kernel = parse_kernel(named(entry, "kernel", shared.kernels, kernel), fields.where(), kernel);
        if (step.kernel.function != function_of(design.op_class)) {
            entry.fail("kernel", fmt::format("is '{}', which does not compute {}", kernel, name));
        }
        check_core_memory(entry, step.kernel, shared);
        if (design.op_class != OpClass::attention) {
            check_arithmetic(entry, step, arithmetic);
            design.steps.push_back(std::move(step));
        } else if (design.steps.empty()) {
            step.ops.last = Op::context;
            design.steps.push_back(std::move(step));
        } else if (design.steps.front().kernel.name != kernel) {
            entry.fail("kernel", "is not that of the whole attention");
        } else if (op == Op::context) {
            check_arithmetic(entry, design.steps.front(), arithmetic);
        }
    }
}

// How errors name a design: by its name as soon as it has one.
std::string design_label(const json& object, std::size_t index) {
    const auto name = object.is_object() ? object.find("name") : object.end();
    const bool named = object.is_object() && name != object.end() && name->is_string();
    return named && !name->get_ref<const std::string&>().empty() ? "design " + name->get<std::string>()
                                                                 : fmt::format("design number {}", index + 1);
}

ClassDesign parse_design(const json& object, std::size_t index, const Shared& shared) {
    const Fields fields(object, design_label(object, index),
                        {"name", "class", "summary", "cores", "tile", "tiles_per_launch", "ops"});
    ClassDesign design;
    design.name = fields.text("name");
    if (design.name.find(',') != std::string::npos) {
        fields.fail("name", "must not hold a comma");
    }
    design.summary = fields.text("summary");
    design.op_class = fields.one_of<OpClass>("class", {{"gemm", OpClass::gemm},
                                                       {"softmax", OpClass::softmax},
                                                       {"attention", OpClass::attention},
                                                       {"gelu", OpClass::gelu},
                                                       {"norm", OpClass::norm}});
    const Fields tile(fields.at("tile"), fields.where() + " tile", {"m", "k", "n"});
    constexpr std::int64_t size = kernels::tile;
    design.tile = {int(tile.integer("m", size, size)), int(tile.integer("k", size, size)),
                   int(tile.integer("n", size, size))};
    StepDesign common;
    common.cores = int(fields.integer("cores", 1, 16));
    common.tiles_per_launch = fields.integer("tiles_per_launch", 0, std::numeric_limits<std::int32_t>::max());
    if (common.tiles_per_launch % common.cores != 0) {
        fields.fail("tiles_per_launch", fmt::format("must be a multiple of the {} cores", common.cores));
    }
    parse_ops(fields, shared, common, design);
    json declaration{{"design", object}};
    for (const json& op : object.at("ops")) {
        const auto kernel = op.at("kernel").get<std::string>();
        const auto arithmetic = op.at("arithmetic").get<std::string>();
        declaration["kernels"][kernel] = shared.kernels.at(kernel);
        declaration["arithmetic"][arithmetic] = shared.arithmetic.at(arithmetic);
    }
    design.declaration = declaration.dump() + "\n";
    return design;
}

// `fields` is the design or combination called `name`.
void require_new_name(const Fields& fields, const Catalogue& catalogue, const std::string& name) {
    if (std::ranges::find(catalogue.designs, name, &ClassDesign::name) != catalogue.designs.end() ||
        std::ranges::find(catalogue.combinations, name, &Combination::name) != catalogue.combinations.end()) {
        fields.fail("name", "is taken");
    }
}

Combination parse_combination(const json& object) {
    const Fields fields(object, "combinations", {"name", "summary", "designs"});
    Combination combination{fields.text("name"), fields.text("summary"), {}};
    for (const json& name : fields.array("designs")) {
        combination.designs.push_back(name.is_string() ? name.get<std::string>() : name.dump());
    }
    return combination;
}

void check_composes(const Catalogue& catalogue, const std::string& where,
                    std::vector<std::string_view> names) {
    try {
        compose(catalogue, names);
    } catch (const std::invalid_argument& error) {
        throw ManifestError(fmt::format("manifest: {}: {}", where, error.what()));
    }
}

}  // namespace

Catalogue parse_manifest(std::string_view text) {
    const json manifest = json::parse(text, nullptr, false);
    if (manifest.is_discarded()) {
        throw ManifestError("manifest: is not JSON");
    }
    const Fields fields(
        manifest, "top level",
        {"schema", "schema_version", "core", "kernels", "arithmetic", "designs", "defaults", "combinations"});
    if (fields.text("schema") != "npu-kernel-manifest") {
        fields.fail("schema", "must be 'npu-kernel-manifest'");
    }
    if (fields.integer("schema_version", 0, std::numeric_limits<std::int32_t>::max()) != 3) {
        fields.fail("schema_version", "must be 3");
    }
    for (const char* section : {"kernels", "arithmetic"}) {
        if (!fields.at(section).is_object()) {
            fields.fail(section, "must be an object");
        }
    }
    Catalogue catalogue;
    const Fields core(fields.at("core"), "core", {"l1_bytes", "stack_bytes", "source"});
    catalogue.l1_bytes = core.integer("l1_bytes", 1, 65536);
    catalogue.stack_bytes = core.integer("stack_bytes", 0, 65536);
    const Shared shared{fields.at("kernels"), fields.at("arithmetic"), catalogue.l1_bytes,
                        catalogue.stack_bytes};
    for (const json& object : fields.array("designs")) {
        ClassDesign design = parse_design(object, catalogue.designs.size(), shared);
        require_new_name(Fields(object, "design " + design.name), catalogue, design.name);
        catalogue.designs.push_back(std::move(design));
    }
    const Fields defaults(fields.at("defaults"), "defaults", {"gemm", "softmax", "gelu", "norm"});
    catalogue.default_gemm = defaults.text("gemm");
    catalogue.default_softmax = defaults.text("softmax");
    catalogue.default_gelu = defaults.text("gelu");
    catalogue.default_norm = defaults.text("norm");
    check_composes(
        catalogue, "defaults",
        {catalogue.default_gemm, catalogue.default_softmax, catalogue.default_gelu, catalogue.default_norm});
    for (const json& object : fields.array("combinations")) {
        Combination combination = parse_combination(object);
        require_new_name(Fields(object, "combination " + combination.name), catalogue, combination.name);
        check_composes(catalogue, "combination " + combination.name,
                       {combination.designs.begin(), combination.designs.end()});
        catalogue.combinations.push_back(std::move(combination));
    }
    return catalogue;
}

}  // namespace npu_impl
