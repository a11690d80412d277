// `harness self-check`: plants every known fault and prints which check saw it.
#include "harness/self_check/self_check.hpp"
#include "harness/atomic_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/progress.hpp"
#include "harness/self_check/findings.hpp"
#include "harness/self_check/self_check_json.hpp"

namespace harness {
namespace {

// One for each kind of arithmetic; the others add no step that is not in these.
constexpr std::array<std::string_view, 4> few_designs{
    "unfused", "fused", "gemm_array_floor,softmax_rows_floor,gelu_tiles_floor,norm_rows_floor",
    "legacy_tile64"};
constexpr std::array<std::string_view, 4> more_designs{
    "gemm_array_floor,attention_fused_floor,gelu_tiles_floor,norm_rows_floor", "gemm_array_rerounded",
    "tile64", "tile64_batch"};

SelfCheckRequest request_of(const SelfCheckOptions& options) {
    SelfCheckRequest request;
    request.only_fault = options.fault;
    if (options.healthy_only) {
        request.faults.clear();
    }
    request.without = options.without;
    request.every_composition = options.full;
    request.every_place = options.full || !options.fault.empty();
    for (const std::string& file : options.recordings) {
        request.grounds.push_back(recorded_ground(file));
    }
    std::vector<std::uint64_t> seeds = options.seeds;
    std::vector<std::int64_t> contexts = options.contexts;
    const bool generated = options.recordings.empty() || !seeds.empty() || !contexts.empty();
    if (seeds.empty()) {
        seeds = options.full ? std::vector<std::uint64_t>{datasets::frozen_seed, 1}
                             : std::vector<std::uint64_t>{datasets::frozen_seed};
    }
    if (contexts.empty()) {
        contexts = options.full ? std::vector<std::int64_t>{250, 1500, 3001} : std::vector<std::int64_t>{250};
    }
    for (const std::uint64_t seed : generated ? seeds : std::vector<std::uint64_t>{}) {
        for (const std::int64_t context : contexts) {
            for (const SyntheticGround& ground : {SyntheticGround{seed, context, 0},
                                                  {seed, context, 4},
                                                  {seed, context, 4, 4, 0.25F},
                                                  {seed, context, 4, 4, 2},
                                                  {seed, context, 0, 1, 2}}) {
                request.grounds.push_back(synthetic_ground(ground));
            }
            if (context <= 1500 || context == 3001) {
                request.grounds.push_back(encoder_ground(seed, context));
            }
        }
    }
    std::vector<std::string_view> designs(options.designs.begin(), options.designs.end());
    if (designs.empty()) {
        designs.assign(few_designs.begin(), few_designs.end());
        if (options.full) {
            designs.insert(designs.end(), more_designs.begin(), more_designs.end());
        }
    }
    for (const std::string_view design : designs) {
        request.designs.push_back(npu_impl::compose(std::string(design)));
    }
    return request;
}

// Trials in which a check fired, of one fault; its own is marked.
struct MatrixRow {
    std::string fault;
    Seam seam{};
    std::size_t own = 0;
    bool equivalent = false;
    int tried = 0;
    int as_due = 0;
    std::vector<int> fired;
};

std::vector<MatrixRow> matrix_of(const SelfCheckResult& result) {
    std::vector<MatrixRow> rows;
    for (const TrialResult& trial : result.trials) {
        if (rows.empty() || rows.back().fault != trial.fault) {
            rows.push_back({trial.fault, trial.seam, static_cast<std::size_t>(trial.own), trial.equivalent, 0,
                            0, std::vector<int>(limits().size())});
        }
        MatrixRow& row = rows.back();
        ++row.tried;
        row.as_due += trial.as_due() ? 1 : 0;
        for (const Limit& check : limits()) {
            row.fired[static_cast<std::size_t>(check.quantity)] += trial.fired(check.quantity) ? 1 : 0;
        }
    }
    return rows;
}

char letter(std::size_t check) {
    return static_cast<char>(check < 26 ? 'A' + check : 'a' + (check - 26));
}

void print_matrix(const SelfCheckResult& result) {
    fmt::print("checks\n");
    for (const Limit& check : limits()) {
        fmt::print("  {}  {}{}\n", letter(static_cast<std::size_t>(check.quantity)), word_of(check.quantity),
                   check.gated ? "" : " (reported, not gated)");
    }
    fmt::print(
        "\nkill matrix: trials in which each check fired, * before the fault's own check\n{:<38}{:<9}{:>9}\n",
        "fault", "seam", "as due");
    for (const MatrixRow& row : matrix_of(result)) {
        fmt::print("{:<38}{:<9}{:>4}/{:<4}", row.fault, name(row.seam), row.as_due, row.tried);
        for (std::size_t check = 0; check < row.fired.size(); ++check) {
            const bool own = check == row.own && !row.equivalent;
            if (own || row.fired[check] > 0) {
                fmt::print(" {}{}{}", own ? "*" : "", letter(check), row.fired[check]);
            }
        }
        fmt::print("{}\n", row.equivalent ? " equivalent" : "");
    }
}

void print_grounds(const SelfCheckRequest& request) {
    fmt::print("grounds, and what of their attention decides what can be seen on them\n");
    for (const auto& ground : request.grounds) {
        const Traits& t = ground->traits;
        fmt::print(
            "  {}: logits to {:.1f}, {:.1f} deep in a row, growing by {:.1f} behind the first tile, {:.0f} "
            "effective keys, shares of last key {:.2g}, last tile {:.2g}, padding {:.2g}\n",
            ground->name, t.largest_logit, t.deepest_row, t.latest_growth, t.effective_keys, t.last_key_share,
            t.last_tile_share, t.padding_share);
    }
}

void print_variants(const SelfCheckResult& result) {
    if (result.variants.empty()) {
        return;
    }
    fmt::print("\nhealthy variants: grounds on which they passed\n");
    std::vector<std::string> shown;
    for (const VariantResult& variant : result.variants) {
        if (std::ranges::find(shown, variant.name) != shown.end()) {
            continue;
        }
        shown.push_back(variant.name);
        int tried = 0;
        int passed = 0;
        for (const VariantResult& other : result.variants) {
            tried += other.name == variant.name ? 1 : 0;
            passed += other.name == variant.name && other.as_due() ? 1 : 0;
        }
        fmt::print("  {:<38}{:>3}/{:<3} {}\n", variant.name, passed, tried, variant.says);
    }
}

void print_equivalents(const std::vector<Fault>& faults) {
    fmt::print("\nequivalent faults: no check can see them, and none may fire\n");
    for (const Fault& fault : faults) {
        if (!fault.equivalent.empty()) {
            fmt::print("  {}: {}: {}\n", fault.name, fault.says, fault.equivalent);
        }
    }
}

std::string what_happened(const TrialResult& trial) {
    if (!trial.error.empty()) {
        return "could not run: " + trial.error;
    }
    if (trial.equivalent) {
        return "equivalent, and yet seen: " + trial.findings.front().text;
    }
    return trial.findings.empty()
               ? fmt::format("survived: {} did not fire, nor did anything else", word_of(trial.own))
               : fmt::format("{} did not fire, only: {}", word_of(trial.own), trial.findings.front().text);
}

// One line per survivor, false alarm and unproven check.
void print_failures(const SelfCheckResult& result) {
    for (const TrialResult& trial : result.trials) {
        if (!trial.as_due()) {
            fmt::print("SURVIVOR  {} at {}, {}, {}: {}; again: harness self-check {}\n", trial.fault,
                       trial.place, trial.ground, trial.design, what_happened(trial), trial.arguments);
        }
    }
    for (const VariantResult& variant : result.variants) {
        if (!variant.as_due()) {
            fmt::print("FALSE ALARM  {}, {}: {}\n", variant.name, variant.ground,
                       variant.error.empty() ? variant.findings.front().text : variant.error);
        }
    }
    for (const Quantity check : result.unproven) {
        fmt::print("UNPROVEN  {}: no fault was failed by it\n", word_of(check));
    }
    for (const Untried& one : result.untried) {
        fmt::print("not tried  {}: no data or design here shows it; it needs {}\n", one.fault,
                   one.needs.empty() ? "the norms, the MLP or the end of the encoder" : one.needs);
    }
}

}  // namespace

ExitCode run(const SelfCheckOptions& options, const std::string&) {
    check_files(options.recordings, {options.json});
    const SelfCheckRequest request = request_of(options);
    ProgressBar bar("self-check", stages_of(request), !options.common.quiet);
    const SelfCheckResult result = self_check(request, [&](std::string_view what) { bar.step(what); });
    bar.clear();
    if (!options.json.empty()) {
        write_atomically(options.json, to_json(result));
    }
    if (!options.common.quiet) {
        print_grounds(request);
        fmt::print("\n");
        print_matrix(result);
        print_equivalents(request.faults);
        print_variants(result);
        fmt::print("\n");
    }
    print_failures(result);
    const auto due = [](const auto& one) { return one.as_due(); };
    fmt::print("{}: {} of {} trials and {} of {} healthy runs as due\n",
               result.passed() ? "passed" : "failed", std::ranges::count_if(result.trials, due),
               result.trials.size(), std::ranges::count_if(result.variants, due), result.variants.size());
    return result.passed() ? ExitCode::passed : ExitCode::failed;
}

}  // namespace harness
