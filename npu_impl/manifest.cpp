#include "npu_impl/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace npu_impl {
namespace {

using datasets::Op;
using nlohmann::json;

// A JSON object, the words to name it by in an error, and the fields that it may have.
class Fields {
public:
    Fields(const json& object, std::string where, std::initializer_list<std::string_view> known)
        : object_(object), where_(std::move(where)) {
        if (!object.is_object()) {
            throw ManifestError(fmt::format("manifest: {}: must be an object", where_));
        }
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

datasets::Arithmetic parse_arithmetic(const json& object, const std::string& where) {
    const Fields fields(object, where,
                        {"operand", "operand_rounding", "accumulation", "store", "store_rounding", "key_tile",
                         "exp_argument", "exp_argument_rounding", "exp_error"});
    datasets::Arithmetic arithmetic;
    arithmetic.operand = dtype(fields, "operand");
    if (arithmetic.operand == datasets::DType::bf16) {
        arithmetic.operand_rounding = rounding(fields, "operand_rounding");
    }
    arithmetic.store = dtype(fields, "store");
    if (arithmetic.store == datasets::DType::bf16) {
        arithmetic.store_rounding = rounding(fields, "store_rounding");
    }
    // The emulated kernels add in this order and in no other.
    arithmetic.accumulation = fields.one_of<datasets::Accumulation>(
        "accumulation", {{"chain_f32", datasets::Accumulation::chain_f32}});
    if (fields.has("key_tile")) {
        arithmetic.key_tile = int(fields.integer("key_tile", kernels::tile, kernels::tile));
        arithmetic.exp_argument = dtype(fields, "exp_argument");
        arithmetic.exp_argument_rounding = rounding(fields, "exp_argument_rounding");
        const json& error = fields.at("exp_error");
        if (!error.is_number() || !(error.get<double>() > 0) || !(error.get<double>() < 1)) {
            fields.fail("exp_error", "must be a number between 0 and 1");
        }
        arithmetic.exp_error = error.get<double>();
    }
    return arithmetic;
}

KernelDesign parse_kernel(const json& object, const std::string& design, const std::string& name) {
    const Fields fields(object, design + " kernel " + name, {"function", "summary", "core_memory"});
    KernelDesign kernel;
    kernel.name = name;
    kernel.summary = fields.text("summary");
    kernel.function = fields.one_of<KernelFunction>("function", {{"matmul", KernelFunction::matmul},
                                                                 {"softmax", KernelFunction::softmax},
                                                                 {"attention", KernelFunction::attention}});
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

Op parse_op(const Fields& fields, const char* field) {
    const std::string word = fields.text(field);
    const std::optional<Op> op = datasets::parse_op(word);
    if (!op || !datasets::attention_ops.contains(*op)) {
        fields.fail(field, fmt::format("is '{}', not an op of the attention", word));
    }
    return *op;
}

// What a kernel function computes when launched for these ops.
bool fits(KernelFunction function, datasets::OpRange ops) {
    switch (function) {
        case KernelFunction::matmul:
            return ops.first == ops.last && ops.first != Op::probabilities;
        case KernelFunction::softmax:
            return ops == datasets::OpRange{Op::probabilities, Op::probabilities};
        case KernelFunction::attention:
            break;
    }
    return ops == datasets::OpRange{Op::scores, Op::context};
}

std::vector<StepDesign> parse_steps(const Fields& design, const json& kernels) {
    std::vector<StepDesign> steps;
    auto next = Op::query;
    for (const json& item : design.array("steps")) {
        const Fields fields(item, fmt::format("{} step {}", design.where(), steps.size() + 1),
                            {"first", "last", "kernel"});
        StepDesign step;
        step.ops = {parse_op(fields, "first"), parse_op(fields, "last")};
        if (step.ops.first != next || step.ops.last < step.ops.first) {
            fields.fail("first", "does not go on where the step before ended");
        }
        const std::string kernel = fields.text("kernel");
        step.kernel = parse_kernel(named(fields, "kernel", kernels, kernel), design.where(), kernel);
        if (!fits(step.kernel.function, step.ops)) {
            fields.fail("kernel", fmt::format("is '{}', which does not compute {}..{}", kernel,
                                              datasets::name(step.ops.first), datasets::name(step.ops.last)));
        }
        next = static_cast<Op>(static_cast<int>(step.ops.last) + 1);
        steps.push_back(std::move(step));
    }
    if (steps.back().ops.last != Op::output) {
        design.fail("steps", "must end with output");
    }
    return steps;
}

// What the kernels and the layout of the layer's buffers rely on.
void check_types(const Fields& fields, const Design& design) {
    using datasets::DType;
    for (const StepDesign& step : design.steps) {
        const Op op = step.ops.last;
        const datasets::Arithmetic& arithmetic = design.arithmetic_of(op);
        const DType operand = op == Op::probabilities ? DType::f32 : DType::bf16;
        const DType store = op == Op::scores || op == Op::output ? DType::f32 : DType::bf16;
        if (arithmetic.operand != operand || arithmetic.store != store) {
            fields.fail("arithmetic", fmt::format("of {} has an operand or store type that its kernel lacks",
                                                  datasets::name(op)));
        }
        if ((step.kernel.function != KernelFunction::matmul) != (arithmetic.key_tile > 0)) {
            fields.fail("arithmetic", fmt::format("of {} has a wrong key_tile", datasets::name(op)));
        }
    }
}

void check_core_memory(const Fields& fields, const Design& design) {
    for (const StepDesign& step : design.steps) {
        const std::int64_t need = design.core_bytes(step.kernel);
        if (need > design.l1_bytes) {
            fields.fail("steps", fmt::format("kernel {} needs {} bytes of a core's {}", step.kernel.name,
                                             need, design.l1_bytes));
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

Design parse_design(const json& object, std::size_t index, const json& manifest) {
    const Fields fields(object, design_label(object, index),
                        {"name", "summary", "cores", "tile", "tiles_per_launch", "steps", "arithmetic"});
    Design design;
    design.name = fields.text("name");
    design.summary = fields.text("summary");
    design.cores = int(fields.integer("cores", 1, 16));
    const Fields tile(fields.at("tile"), fields.where() + " tile", {"m", "k", "n"});
    constexpr std::int64_t size = kernels::tile;
    design.tile = {int(tile.integer("m", size, size)), int(tile.integer("k", size, size)),
                   int(tile.integer("n", size, size))};
    design.tiles_per_launch = fields.integer("tiles_per_launch", 0, std::numeric_limits<std::int32_t>::max());
    if (design.tiles_per_launch % design.cores != 0) {
        fields.fail("tiles_per_launch", fmt::format("must be a multiple of the {} cores", design.cores));
    }
    const Fields core(manifest.at("core"), "core", {"l1_bytes", "stack_bytes", "source"});
    design.l1_bytes = core.integer("l1_bytes", 1, 65536);
    design.stack_bytes = core.integer("stack_bytes", 0, 65536);
    design.steps = parse_steps(fields, manifest.at("kernels"));

    const Fields declared(fields.at("arithmetic"), fields.where() + " arithmetic",
                          {"query", "key", "value", "scores", "probabilities", "context", "output"});
    for (const datasets::OpInfo& op : datasets::ops_in(datasets::attention_ops)) {
        const std::string field(op.name);
        const std::string kind = declared.text(field.c_str());
        const json& entry = named(declared, field.c_str(), manifest.at("arithmetic"), kind);
        design.arithmetic[static_cast<std::size_t>(op.op) - static_cast<std::size_t>(Op::query)] =
            parse_arithmetic(entry, fmt::format("{} arithmetic {}", fields.where(), kind));
    }
    check_types(fields, design);
    check_core_memory(fields, design);
    return design;
}

}  // namespace

std::vector<Design> parse_manifest(std::string_view text) {
    const json manifest = json::parse(text, nullptr, false);
    if (manifest.is_discarded()) {
        throw ManifestError("manifest: is not JSON");
    }
    const Fields fields(manifest, "top level",
                        {"schema", "schema_version", "core", "kernels", "arithmetic", "designs"});
    if (fields.text("schema") != "npu-kernel-manifest") {
        fields.fail("schema", "must be 'npu-kernel-manifest'");
    }
    if (fields.integer("schema_version", 0, std::numeric_limits<std::int32_t>::max()) != 1) {
        fields.fail("schema_version", "must be 1");
    }
    for (const char* section : {"core", "kernels", "arithmetic"}) {
        if (!fields.at(section).is_object()) {
            fields.fail(section, "must be an object");
        }
    }
    std::vector<Design> designs;
    for (const json& object : fields.array("designs")) {
        Design design = parse_design(object, designs.size(), manifest);
        if (std::ranges::find(designs, design.name, &Design::name) != designs.end()) {
            throw ManifestError(fmt::format("manifest: design {}: field 'name' is taken", design.name));
        }
        designs.push_back(std::move(design));
    }
    return designs;
}

}  // namespace npu_impl
