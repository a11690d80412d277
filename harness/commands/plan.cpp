// `harness plan`: what every way to use the NPU would give, what bounds it, and which meets the target.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "harness/budget.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/parts.hpp"
#include "harness/interrupt.hpp"
#include "harness/npu_plans.hpp"
#include "harness/recorder.hpp"
#include "harness/run_record.hpp"
#include "harness/timeline_export.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/model_validation.hpp"
#include "npu_impl/tile_tuner.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using npu_impl::Contexts;
using npu_impl::Cost;
using npu_impl::Dispatch;
using npu_impl::GemmJob;

std::string way_name(const WayToRun& way) {
    return fmt::format("{}, {}, {}", way.kernel, way.dispatch == Dispatch::calls ? "calls" : "run lists",
                       way.contexts == Contexts::shared ? "one context" : "context per kernel");
}

void print_question(const PlanQuestion& question, double interval) {
    fmt::print(
        "Whisper base, T = {}, {} ({}, {} cores at {:.2f} GHz); every NPU time is modelled\n"
        "target RTFx {} of the {} over {} s of speech in a window of 30 s: at most {:.1f} ms\n",
        question.context, question.spec.name, question.spec.product, question.spec.cores(),
        question.spec.clock_hz / 1e9, question.target_rtfx,
        question.scope == TimeScope::encoder ? "encoder" : "attention alone", question.audio_seconds,
        question.audio_seconds / question.target_rtfx * 1e3);
    if (question.scope == TimeScope::encoder) {
        fmt::print("CPU: {}; NPU as said in each row\n",
                   question.cpu ? fmt::format("measured, {} tasks of {} ({})", question.cpu->threads,
                                              question.cpu->cpu, question.cpu->file)
                                : std::string("what the design note published for its laptop, by T"));
    }
    fmt::print(
        "90% interval of an NPU time: a factor of {:.2f} either way where it is one of products; norms, "
        "GELU and\nsoftmax have no published time to compare with, and tend to be modelled too fast\n\n",
        interval);
}

void print_ranking(const PlanQuestion& question, const std::vector<PlannedWay>& ways, int rows) {
    fmt::print("{:>4} {:<26} {:<13} {:<36} {:>8} {:>10} {:>8} {:>8} {:>6} {:<8} {}\n", "rank", "design",
               "on the NPU", "kernels, launches, configurations", "launches", "NPU ms", "CPU ms", "RTFx",
               "% peak", "bound", "target");
    const std::size_t shown = rows == 0 ? ways.size() : std::min(ways.size(), std::size_t(rows));
    for (std::size_t i = 0; i < shown; ++i) {
        const PlannedWay& way = ways[i];
        fmt::print("{:>4} {:<26.26} {:<13} {:<36} {:>8} {:>10.1f} {:>8.0f} {:>8.2f} {:>6.2f} {:<8} {}\n",
                   i + 1, way.way.design, way.way.placement, way_name(way.way), way.npu.launches,
                   way.npu.total() * 1e3, way.cpu_seconds * 1e3, way.rtfx, 100 * way.npu.share_of_peak(),
                   way.npu.bounds.limiting(), way.meets_target ? "met" : "missed");
    }
    if (shown < ways.size()) {
        fmt::print("     and {} slower ways; --rows 0 shows them\n", ways.size() - shown);
    }
    const std::string change = what_would_have_to_change(question, ways.front());
    fmt::print("\n{}\n",
               change.empty()
                   ? fmt::format("the target is met by {} of {} ways",
                                 std::ranges::count(ways, true, &PlannedWay::meets_target), ways.size())
                   : "the target is missed by every way; of the fastest, " + change);
    const double least = least_seconds(question);
    fmt::print("roof: the products of the {} on all cores at their peak take {:.2f} ms, RTFx {:.0f}\n\n",
               question.scope == TimeScope::encoder ? "layers" : "attention", least * 1e3,
               question.audio_seconds / least);
}

// Op by op, of one layer.
void print_steps(const PlannedWay& way, double interval) {
    fmt::print("the fastest way, one layer: {}, {}\n", way.way.design, way_name(way.way));
    fmt::print("{:<16} {:>8} {:>8} {:>9} {:>20} {:>9} {:>9} {:>9} {:>9} {:>7} {}\n", "op", "launches",
               "switches", "NPU ms", "90% interval", "launch", "transfer", "compute", "idle", "% peak",
               "bound");
    for (const npu_impl::StepCost& step : way.steps) {
        const Cost& cost = step.seconds;
        fmt::print(
            "{:<16.16} {:>8} {:>8} {:>9.3f} {:>20} {:>9.3f} {:>9.3f} {:>9.3f} {:>9.3f} {:>7.2f} {}\n",
            range_name(step.ops), step.launches, step.switches, cost.total() * 1e3,
            fmt::format("{:.3f} .. {:.3f}", cost.total() / interval * 1e3, cost.total() * interval * 1e3),
            cost.launch * 1e3, cost.transfer * 1e3, cost.compute * 1e3, cost.idle * 1e3,
            100 * cost.share_of_peak(), cost.bounds.limiting());
    }
    fmt::print("\n");
}

struct ProductOp {
    datasets::Op op{};
    npu_impl::MatmulShape shape;
    std::int64_t out_bytes = 2;
};

// The products whose right factor all rows share, as the default design stores them.
std::vector<ProductOp> plain_products(std::int64_t context) {
    using datasets::Op;
    const datasets::LayerShape shape{context, planned_heads};
    std::vector<ProductOp> out;
    for (const Op op : {Op::query, Op::output, Op::fc1, Op::fc2}) {
        out.push_back({op,
                       {context, datasets::info(op).reduction(shape),
                        op == Op::fc1 ? shape.mlp_width() : shape.width()},
                       op == Op::query ? 2 : 4});
    }
    return out;
}

// The two products of one head.
std::vector<ProductOp> head_products(std::int64_t context) {
    constexpr std::int64_t depth = datasets::head_width;
    return {{datasets::Op::scores, {context, depth, context}, 4},
            {datasets::Op::context, {context, context, depth}, 2}};
}

std::string tile_name(const npu_impl::GemmTiling& tile) {
    return fmt::format("{}x{}x{}", tile.m, tile.k, tile.n);
}

// Beside the 64x64x64 tiles that the kernels of this build are written for.
void print_tuning(const PlanQuestion& question) {
    const npu_impl::CostModel model{question.spec};
    fmt::print(
        "tilings of the products, m x k x n per core, one launch on all cores ({} kernel); scores and "
        "context: "
        "of one head\n",
        model.kernel);
    fmt::print("{:<8} {:>10} {:>9} {:<14} {:>9} {:<8} {:>9} {:>9}  {}\n", "op", "64x64x64", "bound", "best",
               "ms", "bound", "% peak", "refused", "why");
    std::vector<ProductOp> products = plain_products(question.context);
    const std::vector<ProductOp> of_a_head = head_products(question.context);
    products.insert(std::next(products.begin()), of_a_head.begin(), of_a_head.end());
    for (const ProductOp& product : products) {
        GemmJob job;
        job.shape = product.shape;
        job.out_bytes = product.out_bytes;
        job.cores = model.spec.cores();
        const npu_impl::TunedGemm best = npu_impl::tune(job, model);
        const Cost now = model.cost(npu_impl::gemm_work(job, model.spec));
        fmt::print(
            "{:<8} {:>10.3f} {:>9} {:<14} {:>9.3f} {:<8} {:>9.2f} {:>9}  DRAM {:.3f} -> {:.3f} ms, kernel "
            "{:.3f} -> {:.3f} ms\n",
            datasets::name(product.op), now.total() * 1e3, now.bounds.limiting(), tile_name(best.job.tile),
            best.cost.total() * 1e3, best.cost.bounds.limiting(), 100 * best.cost.share_of_peak(),
            best.refused, now.bounds.dram_roof * 1e3, best.cost.bounds.dram_roof * 1e3,
            now.bounds.kernel_floor * 1e3, best.cost.bounds.kernel_floor * 1e3);
    }
    fmt::print("\n");
}

// What cores and compilers are worth: the plain products of one layer, 64x64x64 tiles, one launch each.
void print_scaling(const PlanQuestion& question) {
    const npu_impl::CostModel model{question.spec};
    fmt::print("query, key, value, output, fc1 and fc2 of one layer, ms by cores and kernel\n{:<8}", "cores");
    for (const npu_impl::KernelRate& rate : question.spec.kernels) {
        fmt::print(" {:>12}", rate.kernel);
    }
    fmt::print("\n");
    for (const std::int64_t cores : {std::int64_t{1}, question.spec.core_rows, question.spec.cores()}) {
        fmt::print("{:<8}", cores);
        for (const npu_impl::KernelRate& rate : question.spec.kernels) {
            double seconds = 0;
            for (const ProductOp& product : plain_products(question.context)) {
                GemmJob job;
                job.shape = product.shape;
                job.out_bytes = product.out_bytes;
                job.cores = cores;
                job.kernel = rate.kernel;
                const int times = product.op == datasets::Op::query ? 3 : 1;  // key and value are alike
                seconds += times * model.cost(npu_impl::gemm_work(job, model.spec)).total();
            }
            fmt::print(" {:>12.2f}", seconds * 1e3);
        }
        fmt::print("\n");
    }
    fmt::print("\n");
}

// One tiling that was asked for. Throws UsageError with the limit it breaks and the nearest that fits.
void print_tile(const PlanQuestion& question, const npu_impl::GemmTiling& tile) {
    const npu_impl::CostModel model{question.spec};
    fmt::print("{} tiles on all cores of {}, one launch ({} kernel)\n", tile_name(tile), question.spec.name,
               model.kernel);
    for (const ProductOp& product : plain_products(question.context)) {
        GemmJob job;
        job.shape = product.shape;
        job.tile = tile;
        job.out_bytes = product.out_bytes;
        job.cores = model.spec.cores();
        if (const auto breach = npu_impl::find_breach(job, model.spec)) {
            const auto near = npu_impl::nearest_fit(job, model.spec);
            throw UsageError(fmt::format("--tile {}: {} on {}: {}; nearest that fits: {}", tile_name(tile),
                                         datasets::name(product.op), question.spec.name,
                                         npu_impl::describe(*breach), near ? tile_name(*near) : "none"));
        }
        const Cost cost = model.cost(npu_impl::gemm_work(job, model.spec));
        fmt::print("  {:<8} {:>9.3f} ms, {:.2f}% of the peak, bound by {}\n", datasets::name(product.op),
                   cost.total() * 1e3, 100 * cost.share_of_peak(), cost.bounds.limiting());
    }
}

// `fastest`: of the encoder.
void print_road_map(PlanQuestion question, const PlannedWay& fastest) {
    fmt::print("the design note's road map: 5 s of speech, T = {} on {}; RTFx of mel and encoder\n",
               question.context, question.spec.name);
    for (const RoadMapPhase& phase : note_road_map(question, fastest.way)) {
        fmt::print("  {:<15} claimed {:>6.2f}  gives {:>9.4f}  {}", phase.phase, phase.claimed_rtfx,
                   phase.rtfx, phase.taken_as);
        if (phase.way) {
            fmt::print(": NPU {:.1f} ms in {} launches, CPU {:.0f} ms", phase.way->npu.total() * 1e3,
                       phase.way->npu.launches, phase.way->cpu_seconds * 1e3);
        }
        fmt::print("\n");
    }
    question.scope = TimeScope::encoder;
    question.target_rtfx = 220;
    for (const double audio : {5.0, 30.0}) {
        question.audio_seconds = audio;
        const std::string change = what_would_have_to_change(question, plan_way(question, fastest.way));
        fmt::print("  220x of {:>2.0f} s of speech: {}\n", audio,
                   change.empty() ? "met by the fastest way" : change);
    }
    fmt::print("\n");
}

// Predicted match of the attention's output, layer 0 of the default recording, against the NPU's time for
// the attention; in front of the Pareto front stands a star.
void print_accuracy(const PlanQuestion& question, bool quiet) {
    const datasets::Recording recording(default_recording(question.context, !quiet));
    const datasets::LayerCase layer = recording.layer(recording.info().clips.front().id, 0);
    const reference::GoldenSource golden(layer);
    struct Point {
        std::string design;
        double seconds = 0;
        double headroom = 0;  // dB between 0.1% and the energy of the predicted error
    };
    std::vector<Point> points;
    for (const npu_impl::Design& design : npu_impl::designs()) {
        if (design.name.find("gelu") != std::string::npos || design.name.find("norm") != std::string::npos) {
            continue;  // not in the attention
        }
        throw_if_interrupted();
        Declared declared;
        declared.arithmetic = design.arithmetic;
        for (const npu_impl::StepDesign& step : design.steps) {
            declared.steps.push_back(step.ops);
        }
        const double missing = 1 - output_error(layer, golden, declared).match_percent / 100;
        const PlannedWay way =
            plan_way(question, {design.name, "attention", Dispatch::run_lists, Contexts::shared, "peano"});
        points.push_back({design.name, way.npu.total() / planned_layers, 10 * std::log10(1e-3 / missing)});
    }
    std::ranges::sort(points, [](const Point& one, const Point& other) {
        return std::pair{one.seconds, -one.headroom} < std::pair{other.seconds, -other.headroom};
    });
    fmt::print(
        "accuracy against time, attention of layer 0, run lists and one context; headroom: dB to the 99.9% "
        "limit, predicted\n");
    double best = -std::numeric_limits<double>::infinity();
    for (const Point& point : points) {
        const bool front = point.headroom > best;
        best = std::max(best, point.headroom);
        fmt::print("  {} {:<44.44} {:>10.2f} ms {:>7.2f} dB\n", front ? '*' : ' ', point.design,
                   point.seconds * 1e3, point.headroom);
    }
}

// Plans are of Whisper base.
EncoderCpu encoder_cpu(const std::string& file, std::int64_t context) {
    EncoderCpu cpu = read_encoder_cpu(file);
    if (cpu.context != context || cpu.heads != planned_heads || cpu.layers != planned_layers) {
        throw datasets::ReadError(
            file, "encoders",
            fmt::format("is of T = {}, {} heads and {} layers; the plan is of T = {}, {} and {}", cpu.context,
                        cpu.heads, cpu.layers, context, planned_heads, planned_layers));
    }
    return cpu;
}

}  // namespace

ExitCode run(const NpuPlanOptions& options, const std::string&) {
    check_files({options.device_spec, options.cpu_baseline},
                {options.timelines.trace, options.timelines.gantt});
    PlanQuestion question;
    question.context = options.context;
    question.spec = npu_impl::device_spec(options.device_spec);
    question.target_rtfx = options.target_rtfx;
    question.scope = options.scope == "attention" ? TimeScope::attention : TimeScope::encoder;
    question.audio_seconds = options.audio_seconds;
    if (!options.cpu_baseline.empty()) {
        question.cpu = encoder_cpu(options.cpu_baseline, options.context);
    }
    if (options.tile) {
        print_tile(question, *options.tile);
        return ExitCode::passed;
    }
    const std::vector<PlannedWay> ways = plan_ways(question);
    if (options.timelines.wanted()) {
        const WayToRun& way = ways.front().way;
        write_timelines(planned_timeline(question, way),
                        fmt::format("{} on {}: one layer, T = {}, {}", way.design, question.spec.name,
                                    question.context, way_name(way)),
                        options.timelines);
    }
    if (options.common.quiet) {
        return ExitCode::passed;
    }
    const double interval = npu_impl::published_validation().interval_factor();
    print_question(question, interval);
    print_ranking(question, ways, options.rows);
    print_steps(ways.front(), interval);
    print_scaling(question);
    print_tuning(question);
    PlanQuestion encoder = question;
    encoder.scope = TimeScope::encoder;
    print_road_map(question,
                   question.scope == TimeScope::encoder ? ways.front() : plan_ways(encoder).front());
    if (options.accuracy) {
        print_accuracy(question, options.common.quiet);
    }
    return ExitCode::passed;
}

}  // namespace harness
