// Every pattern, planted by plain loops, gets its own hypothesis and no other; a healthy kernel gets none.
#include "harness/diagnosis.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>

#include "datasets/synthetic.hpp"
#include "harness/diagnosis_tile.hpp"
#include "harness/index.hpp"
#include "harness/judge.hpp"
#include "harness/operands.hpp"
#include "npu_impl/design.hpp"
#include "npu_impl/emulated_device.hpp"
#include "npu_impl/npu_path.hpp"
#include "reference/encoder_block.hpp"
#include "reference/golden_end_source.hpp"
#include "reference/golden_source.hpp"

namespace harness {
namespace {

using datasets::Op;
using datasets::Rounding;
using datasets::Rows;

constexpr std::int64_t context = 130;

datasets::SyntheticModel hard_model() {
    datasets::SyntheticModel model;
    model.shape.context = context;
    return model;
}

// Almost a step of bf16 from what it holds: how it is rounded shows.
void between_steps(datasets::Norm& norm) {
    std::ranges::for_each(norm.gain, [](float& gain) { gain *= 1.007F; });
}

datasets::LayerCase hard_layer() {
    const datasets::SyntheticModel model = hard_model();
    const auto residual = datasets::synthetic_embedding(model);
    datasets::BlockWeights block = datasets::synthetic_block(model, 0);
    between_steps(block.attention_norm);
    between_steps(block.mlp_norm);
    auto layer = reference::make_case(block, model.shape, residual, "clip", 0);
    layer.stream = residual;
    return layer;
}

datasets::EndCase hard_end() {
    datasets::EndCase end{.shape = hard_model().shape, .norm = datasets::synthetic_final_norm(hard_model())};
    between_steps(end.norm);
    return end;
}

std::vector<float> block_of(const datasets::LayerCase& layer, const datasets::Source& golden) {
    std::vector<float> out(index(context * layer.shape.width()));
    golden.rows(Op::block, {-1, 0, context}, out);
    return out;
}

// By which maximum a kernel weights 64 keys, and what it does not rescale afterwards.
enum class Stale : std::uint8_t { nothing, all_by_own_maximum, sum_by_maximum_so_far, result_by_own_maximum };

// What a kernel in plain loops does otherwise than it should.
struct Misdeed {
    std::int64_t skip_begin = 0, skip_end = 0;    // products left out
    std::int64_t twice_begin = 0, twice_end = 0;  // products taken twice
    double bias_factor = 1;
    bool raw_bias = false;                  // not rounded
    double scale_factor = 1;                // of scores, and of the logits of fused attention
    std::int64_t round_sums_every = 0;      // to bf16
    std::optional<Rounding> weights, rows;  // of the operands as they came
    bool transposed_weights = false;
    std::int64_t transposed_tile = -1;              // of the right factor
    int head_step = 0;                              // the right factor is that of this many heads further
    std::int64_t padded_keys = 0;                   // that take part
    std::int64_t first_key = 0, key_end = context;  // keys that take part
    Stale stale = Stale::nothing;
    bool divides = true;  // by the sum of the weights
    // Of a norm:
    std::optional<Rounding> norm;       // of gain and bias
    double mean_factor = 1, fewer = 0;  // of the mean that is taken off; elements of the variance
    double epsilon = 1e-5;
    bool with_gain = true;
};

struct World {
    datasets::LayerCase layer = hard_layer();
    reference::GoldenSource golden{layer};
    datasets::EndCase end = hard_end();
    reference::GoldenEndSource golden_end{end, block_of(layer, golden)};
    std::unique_ptr<npu_impl::Device> device = npu_impl::open_device("emulated");

    static const World& get() {
        static const World world;
        return world;
    }
};

// One op of one design: what it is due to yield, and what a kernel with a misdeed yields.
class Bench {
public:
    // `upstream`: what the op is due to read; null: the golden.
    Bench(std::string_view design, Op op, const datasets::Source* upstream = nullptr)
        : world_(World::get()),
          path_(*world_.device, *npu_impl::find_design(std::string(design))),
          op_(op),
          arithmetic_(path_.arithmetic(op)),
          rounded_(rounded_weights(world_.layer, path_)),
          rounded_end_(rounded_weights(world_.end, path_)),
          golden_(op == Op::encoder ? static_cast<const datasets::Source&>(world_.golden_end)
                                    : world_.golden),
          upstream_(upstream == nullptr ? golden_ : *upstream),
          operands_(upstream_, arithmetic_),
          bounds_(op == Op::encoder ? Bounds(rounded_end_, operands_) : Bounds(rounded_, operands_)),
          fused_(op == Op::context && !path_.emits(Op::scores)) {}

    [[nodiscard]] std::vector<Rows> blocks() const {
        std::vector<Rows> out;
        const bool headed = datasets::has_heads(op_);
        for (int head = headed ? 0 : -1; head < (headed ? shape().heads : 0); ++head) {
            for (std::int64_t begin = 0; begin < context; begin += 64) {
                out.push_back({head, begin, std::min<std::int64_t>(64, context - begin)});
            }
        }
        return out;
    }

    [[nodiscard]] float store(double value) const {
        return arithmetic_.store == datasets::DType::f32
                   ? static_cast<float>(value)
                   : datasets::round_to_bf16(static_cast<float>(value), arithmetic_.store_rounding);
    }
    [[nodiscard]] std::vector<float> healthy(Rows rows) const {
        Bounded bounded;
        bounds_.of(op_, rows, arithmetic_, fused_, bounded);
        std::vector<float> out;
        for (const double value : bounded.value) {
            out.push_back(store(value));
        }
        return out;
    }
    [[nodiscard]] std::vector<double> exact(Rows rows) const {
        Bounded bounded;
        bounds_.of(op_, rows, arithmetic_, fused_, bounded);
        return bounded.value;
    }

    [[nodiscard]] std::vector<float> made(Rows rows, const Misdeed& misdeed) const {
        if (op_ == Op::probabilities || fused_) {
            return softmax(rows, misdeed);
        }
        if (datasets::norm_of(piece(), op_) != nullptr) {
            return normalised(rows, misdeed);
        }
        return op_ == Op::scores || op_ == Op::context ? headed(rows, misdeed) : projected(rows, misdeed);
    }

    // Statistics of what `tensor` yields, and the diagnosis of its worst block; `again`: what the second run
    // yields.
    using Tensor = std::function<std::vector<float>(Rows)>;
    [[nodiscard]] std::optional<Diagnosis> diagnosis(const Tensor& tensor, const Tensor& again) const {
        Comparison comparison(op_, shape(), -1);
        Bounded bounded;
        for (const Rows rows : blocks()) {
            bounds_.of(op_, rows, arithmetic_, fused_, bounded);
            const std::vector<float> got = tensor(rows);
            std::vector<float> golden(got.size());
            golden_.rows(op_, rows, golden);
            comparison.add(rows, {got.data(), rows.count, bounded.columns, bounded.columns}, bounded, golden);
        }
        const OpStatistics statistics = comparison.finish();
        Rows rows = blocks().front();
        if (statistics.damage) {
            rows = {statistics.damage->worst.head, statistics.damage->worst.row / 64 * 64, 64};
            rows.count = std::min<std::int64_t>(64, context - rows.begin);
        }
        bounds_.of(op_, rows, arithmetic_, fused_, bounded);
        const std::vector<float> got = again(rows);
        std::vector<float> golden(got.size());
        golden_.rows(op_, rows, golden);
        const Scene scene{piece(),
                          rounded_piece(),
                          golden_,
                          shape(),
                          statistics,
                          [this](std::int64_t, std::int64_t row, std::int64_t) {
                              return datasets::Site{0, one_launch_ ? 0 : row / 64, 3};
                          }};
        return diagnose({op_,
                         rows,
                         {got.data(), rows.count, bounded.columns, bounded.columns},
                         bounded,
                         golden,
                         arithmetic_,
                         fused_,
                         upstream_,
                         operands_},
                        scene);
    }
    [[nodiscard]] std::optional<Diagnosis> diagnosis(const Tensor& tensor) const {
        return diagnosis(tensor, tensor);
    }

    void one_launch() { one_launch_ = true; }
    [[nodiscard]] datasets::LayerShape shape() const { return world_.layer.shape; }
    [[nodiscard]] const datasets::Arithmetic& arithmetic() const { return arithmetic_; }

private:
    [[nodiscard]] std::vector<float> pulled(const datasets::Source& source, Op op, Rows rows,
                                            std::int64_t columns) const {
        std::vector<float> out(index(rows.count * columns));
        source.rows(op, rows, out);
        return out;
    }

    // Times in which product k is taken.
    static int times(const Misdeed& m, std::int64_t k) {
        const bool skipped = k >= m.skip_begin && k < m.skip_end;
        const bool twice = k >= m.twice_begin && k < m.twice_end;
        return skipped ? 0 : twice ? 2 : 1;
    }

    [[nodiscard]] double summed(const Misdeed& m, double start, std::int64_t length,
                                const std::function<double(std::int64_t)>& term) const {
        double sum = start;
        for (std::int64_t k = 0; k < length; ++k) {
            sum += times(m, k) * term(k);
            if (m.round_sums_every > 0 && ((k + 1) % m.round_sums_every == 0 || k + 1 == length)) {
                sum = datasets::round_to_bf16(static_cast<float>(sum), Rounding::nearest_even);
            }
        }
        return sum;
    }

    [[nodiscard]] std::vector<float> projected(Rows rows, const Misdeed& m) const {
        const auto linear_of = [this](const datasets::LayerCase& from) -> const datasets::Linear& {
            const auto& weights = from.weights.attention;
            return op_ == Op::query ? weights.query : op_ == Op::value ? weights.value : weights.output;
        };
        const datasets::Linear& declared = linear_of(rounded_);
        const datasets::Linear& raw = linear_of(world_.layer);
        const std::int64_t length = shape().width();
        const std::int64_t columns = rows.head < 0 ? shape().width() : 64;
        const Op input = op_ == Op::output ? Op::context : Op::attention_norm;
        const std::vector<float> x = m.rows
                                         ? pulled(world_.golden, input, {-1, rows.begin, rows.count}, length)
                                         : pulled(operands_, input, {-1, rows.begin, rows.count}, length);
        std::vector<float> out;
        for (std::int64_t r = 0; r < rows.count; ++r) {
            for (std::int64_t c = 0; c < columns; ++c) {
                const std::int64_t n = std::max(rows.head, 0) * 64 + c;
                const auto term = [&](std::int64_t k) {
                    const std::int64_t at = m.transposed_weights ? k * length + n : n * length + k;
                    const float w = m.weights ? datasets::round_to_bf16(raw.weight[index(at)], *m.weights)
                                              : declared.weight[index(at)];
                    const float a = x[index(r * length + k)];
                    return double{m.rows ? datasets::round_to_bf16(a, *m.rows) : a} * double{w};
                };
                const float bias = (m.raw_bias ? raw : declared).bias[index(n)];
                out.push_back(store(summed(m, m.bias_factor * double{bias}, length, term)));
            }
        }
        return out;
    }

    [[nodiscard]] datasets::LayerOrEnd piece() const {
        return op_ == Op::encoder ? datasets::LayerOrEnd{.end = &world_.end}
                                  : datasets::LayerOrEnd{.layer = &world_.layer};
    }
    [[nodiscard]] datasets::LayerOrEnd rounded_piece() const {
        return op_ == Op::encoder ? datasets::LayerOrEnd{.end = &rounded_end_}
                                  : datasets::LayerOrEnd{.layer = &rounded_};
    }

    [[nodiscard]] std::vector<float> normalised(Rows rows, const Misdeed& m) const {
        datasets::Norm norm = *datasets::norm_of(m.norm ? piece() : rounded_piece(), op_);
        if (m.norm) {
            for (std::vector<float>* values : {&norm.gain, &norm.bias}) {
                std::ranges::for_each(*values, [&](float& v) { v = datasets::round_to_bf16(v, *m.norm); });
            }
        }
        const std::int64_t width = shape().width();
        auto x = pulled(operands_, datasets::info(op_).inputs.front(), rows, width);
        if (m.rows) {
            std::ranges::for_each(x, [&](float& v) { v = datasets::round_to_bf16(v, *m.rows); });
        }
        std::vector<float> out;
        for (std::int64_t r = 0; r < rows.count; ++r) {
            double mean = 0;
            double squares = 0;
            for (std::int64_t c = 0; c < width; ++c) {
                mean += m.mean_factor * double{x[index(r * width + c)]} / double(width);
            }
            for (std::int64_t c = 0; c < width; ++c) {
                squares += std::pow(double{x[index(r * width + c)]} - mean, 2);
            }
            const double deviation = std::sqrt(squares / (double(width) - m.fewer) + m.epsilon);
            for (std::int64_t c = 0; c < width; ++c) {
                const double gain = m.with_gain ? double{norm.gain[index(c)]} : 1;
                out.push_back(store((double{x[index(r * width + c)]} - mean) / deviation * gain +
                                    m.bias_factor * double{norm.bias[index(c)]}));
            }
        }
        return out;
    }

    [[nodiscard]] std::vector<float> headed(Rows rows, const Misdeed& m) const {
        const bool scores = op_ == Op::scores;
        const int other = (rows.head + m.head_step) % shape().heads;
        const std::int64_t length = scores ? 64 : context;
        const std::int64_t columns = scores ? context : 64;
        const auto left = pulled(operands_, scores ? Op::query : Op::probabilities, rows, length);
        const auto right = pulled(operands_, scores ? Op::key : Op::value, {other, 0, context}, 64);
        std::vector<float> out;
        for (std::int64_t r = 0; r < rows.count; ++r) {
            for (std::int64_t c = 0; c < columns; ++c) {
                const auto term = [&](std::int64_t k) {
                    std::int64_t row = scores ? c : k;
                    std::int64_t column = scores ? k : c;
                    if (m.transposed_tile >= 0 && row / 64 == m.transposed_tile) {
                        std::swap(row, column);
                        row += column / 64 * 64;
                        column %= 64;
                    }
                    return double{left[index(r * length + k)]} * double{right[index(row * 64 + column)]};
                };
                out.push_back(store(summed(m, 0, length, term) * (scores ? m.scale_factor / 8 : 1)));
            }
        }
        return out;
    }

    [[nodiscard]] std::vector<float> softmax(Rows rows, const Misdeed& m) const {
        const auto value =
            fused_ ? pulled(operands_, Op::value, {rows.head, 0, context}, 64) : std::vector<float>();
        const auto query = fused_ ? pulled(operands_, Op::query, rows, 64) : std::vector<float>();
        const auto key =
            fused_ ? pulled(operands_, Op::key, {rows.head, 0, context}, 64) : std::vector<float>();
        const auto scores = fused_ ? std::vector<float>() : pulled(operands_, Op::scores, rows, context);
        std::vector<float> out;
        for (std::int64_t r = 0; r < rows.count; ++r) {
            std::vector<double> logits(index(context));
            double largest = m.padded_keys > 0 ? 0 : -1e300;
            for (std::int64_t k = m.first_key; k < m.key_end; ++k) {
                double& logit = logits[index(k)];
                for (std::int64_t d = 0; d < 64 && fused_; ++d) {
                    logit += double{query[index(r * 64 + d)]} * double{key[index(k * 64 + d)]} / 8;
                }
                logit = m.scale_factor * (fused_ ? logit : double{scores[index(r * context + k)]});
                largest = std::max(largest, logit);
            }
            // What key k is weighted by, before and after what the misdeed leaves out.
            const auto weight = [&](std::int64_t k, bool stale) {
                double maximum = largest;
                if (stale) {
                    const auto end = std::min<std::int64_t>(k / 64 * 64 + 64, context);
                    const auto begin = m.stale == Stale::sum_by_maximum_so_far ? 0 : k / 64 * 64;
                    maximum = *std::max_element(logits.begin() + begin, logits.begin() + end);
                }
                return std::exp(logits[index(k)] - maximum);
            };
            const bool stale_sum =
                m.stale == Stale::all_by_own_maximum || m.stale == Stale::sum_by_maximum_so_far;
            const bool stale_result =
                m.stale == Stale::all_by_own_maximum || m.stale == Stale::result_by_own_maximum;
            double sum = static_cast<double>(m.padded_keys) * std::exp(-largest);
            for (std::int64_t k = m.first_key; k < m.key_end; ++k) {
                sum += weight(k, stale_sum);
            }
            const auto share = [&](std::int64_t k) {
                return k >= m.first_key && k < m.key_end ? weight(k, stale_result) / (m.divides ? sum : 1)
                                                         : 0;
            };
            for (std::int64_t c = 0; c < (fused_ ? 64 : context); ++c) {
                double result = fused_ ? 0 : share(c);
                for (std::int64_t k = 0; k < context && fused_; ++k) {
                    result += share(k) * double{value[index(k * 64 + c)]};
                }
                out.push_back(store(result));
            }
        }
        return out;
    }

    const World& world_;
    npu_impl::NpuPath path_;
    Op op_;
    datasets::Arithmetic arithmetic_;
    datasets::LayerCase rounded_;
    datasets::EndCase rounded_end_;
    const datasets::Source& golden_;
    const datasets::Source& upstream_;
    RoundedSource operands_;
    Bounds bounds_;
    bool fused_;
    bool one_launch_ = false;
};

// A fault: what comes of a block, given what should.
struct Plant {
    std::string name;
    Pattern pattern;
    std::string design;
    Op op;
    std::function<std::vector<float>(const Bench&, Rows)> make;
    std::string evidence;  // a part of the line
};

Plant misdeed(std::string name, Pattern pattern, std::string design, Op op, Misdeed misdeed,
              std::string evidence) {
    return {std::move(name),
            pattern,
            std::move(design),
            op,
            [misdeed](const Bench& bench, Rows rows) { return bench.made(rows, misdeed); },
            std::move(evidence)};
}

// Edits the first tile of head 2 (or of the first block).
using EditTile = std::function<void(std::vector<float>& values, std::int64_t columns)>;
Plant edit(std::string name, Pattern pattern, std::string design, Op op, EditTile edit,
           std::string evidence) {
    return {std::move(name),
            pattern,
            std::move(design),
            op,
            [edit](const Bench& bench, Rows rows) {
                auto values = bench.healthy(rows);
                if (rows.begin == 64 && (rows.head == 2 || rows.head < 0)) {
                    edit(values, std::ssize(values) / rows.count);
                }
                return values;
            },
            std::move(evidence)};
}

void each(std::vector<float>& values, std::int64_t columns,
          const std::function<float(std::int64_t, std::int64_t, float)>& change) {
    for (std::int64_t r = 0; r < std::ssize(values) / columns; ++r) {
        for (std::int64_t c = 0; c < std::min<std::int64_t>(64, columns); ++c) {
            float& value = values[index(r * columns + c)];
            value = change(r, c, value);
        }
    }
}

std::vector<Plant> plants_of_products() {
    std::vector<Plant> out;
    Misdeed m;
    m.bias_factor = 0;
    out.push_back(misdeed("bias_missing", Pattern::bias_missing, "unfused", Op::query, m, "is missing"));
    out.push_back(misdeed("output_bias_missing", Pattern::bias_missing, "unfused", Op::output, m, "missing"));
    m.bias_factor = 2;
    out.push_back(misdeed("bias_doubled", Pattern::bias_doubled, "unfused", Op::query, m, "came twice"));
    m = {};
    m.raw_bias = true;
    out.push_back(misdeed("bias_not_rounded", Pattern::operand_rounding, "unfused", Op::output, m,
                          "the bias is not rounded"));
    m = {};
    m.skip_begin = 448;
    m.skip_end = 512;
    out.push_back(misdeed("k_tile_missing", Pattern::k_slice_missing, "unfused", Op::query, m,
                          "products 448-511 of 512 are missing"));
    m.skip_begin = 504;
    out.push_back(misdeed("k_step_missing", Pattern::k_slice_missing, "unfused", Op::value, m,
                          "products 504-511 of 512 are missing"));
    m = {};
    m.twice_begin = 64;
    m.twice_end = 128;
    out.push_back(misdeed("k_tile_twice", Pattern::k_slice_repeated, "unfused", Op::query, m, "came twice"));
    m = {};
    m.round_sums_every = 64;
    out.push_back(misdeed("bf16_sums", Pattern::narrow_sums, "unfused", Op::query, m, "every 64 products"));
    m.round_sums_every = 8;
    out.push_back(misdeed("bf16_steps", Pattern::narrow_sums, "unfused", Op::query, m, "every 8 products"));
    m = {};
    m.weights = Rounding::toward_zero;
    out.push_back(misdeed("weights_truncated", Pattern::operand_rounding, "unfused", Op::query, m,
                          "weights are rounded toward_zero"));
    m = {};
    m.rows = Rounding::floor;
    out.push_back(misdeed("rows_floored", Pattern::operand_rounding, "unfused", Op::value, m,
                          "rows are rounded floor"));
    m = {};
    m.transposed_weights = true;
    out.push_back(misdeed("weights_transposed", Pattern::weights_transposed, "unfused", Op::value, m, "[in"));
    m = {};
    m.transposed_tile = 0;
    out.push_back(misdeed("value_tile_transposed", Pattern::operand_tile_transposed, "unfused", Op::context,
                          m, "tile 0 of the right factor"));
    m = {};
    m.head_step = 1;
    out.push_back(misdeed("key_of_next_head", Pattern::operand_of_other_head, "unfused", Op::scores, m,
                          "key is that of head"));
    out.push_back(misdeed("value_of_next_head", Pattern::operand_of_other_head, "unfused", Op::context, m,
                          "value is that of head"));
    return out;
}

std::vector<Plant> plants_of_softmax() {
    std::vector<Plant> out;
    Misdeed m;
    m.scale_factor = 8;
    out.push_back(misdeed("scale_missing", Pattern::scale, "unfused", Op::scores, m, "1/8 is missing"));
    out.push_back(misdeed("fused_scale_missing", Pattern::scale, "fused", Op::context, m, "1/8 is missing"));
    m.scale_factor = 0.125;
    out.push_back(misdeed("scale_twice", Pattern::scale, "unfused", Op::scores, m, "applied twice"));
    for (const auto& [design, op] : {std::pair{"unfused", Op::probabilities}, {"fused", Op::context}}) {
        m = {};
        m.padded_keys = 192 - context;
        out.push_back(misdeed(std::string("pads_unmasked_") + design, Pattern::padding_unmasked, design, op,
                              m, "the 62 padded keys take part"));
        m = {};
        m.key_end = context - 1;
        out.push_back(misdeed(std::string("last_key_dropped_") + design, Pattern::keys_missing, design, op, m,
                              "keys 129-129 of 130"));
        m = {};
        m.first_key = 64;
        out.push_back(misdeed(std::string("key_tile_dropped_") + design, Pattern::keys_missing, design, op, m,
                              "keys 0-63 of 130"));
    }
    return out;
}

std::vector<Plant> plants_of_stale_maxima() {
    std::vector<Plant> out;
    for (const auto& [design, op] : {std::pair{"unfused", Op::probabilities}, {"fused", Op::context}}) {
        for (const auto& [name, stale, evidence] :
             {std::tuple{"all", Stale::all_by_own_maximum,
                         "sum and result are not rescaled: every 64 keys are weighted by their own maximum"},
              {"sum", Stale::sum_by_maximum_so_far, "every 64 keys are weighted by the maximum so far"},
              {"result", Stale::result_by_own_maximum, "the result is not rescaled"}}) {
            Misdeed m;
            m.stale = stale;
            out.push_back(misdeed(fmt::format("not_rescaled_{}_{}", name, design), Pattern::rescale_missing,
                                  design, op, m, evidence));
        }
    }
    return out;
}

// Fits: what grows leaves roundings that grew with it.
std::vector<Plant> plants_of_growth() {
    std::vector<Plant> out;
    Misdeed m;
    m.divides = false;
    for (const auto& [design, op] : {std::pair{"unfused", Op::probabilities}, {"fused", Op::context}}) {
        out.push_back(misdeed(fmt::format("not_divided_{}", design), Pattern::row_gain, design, op, m,
                              "each row is off by a factor"));
    }
    // The errors of exp grow with what they are errors of.
    out.push_back({"forty_times_with_exp_errors", Pattern::gain, "fused", Op::context,
                   [](const Bench& bench, Rows rows) {
                       std::vector<float> values;
                       for (const double v : bench.exact(rows)) {
                           values.push_back(bench.store(40 * v * (values.size() % 2 == 0 ? 1.008 : 0.992)));
                       }
                       return values;
                   },
                   "times what it should be"});
    for (const char* design : {"unfused", "gemm_array_floor"}) {
        for (const double factor : {3.0, 0.98}) {
            out.push_back({fmt::format("times_{}_{}", factor > 1 ? "three" : "less", design), Pattern::gain,
                           design, Op::query,
                           [factor](const Bench& bench, Rows rows) {
                               std::vector<float> values;
                               for (const double v : bench.exact(rows)) {
                                   values.push_back(bench.store(factor * v));
                               }
                               return values;
                           },
                           "times what it should be"});
        }
    }
    return out;
}

// Too little, or too wild, for any name.
std::vector<Plant> plants_of_chance() {
    std::vector<Plant> out;
    out.push_back(edit(
        "one_element", Pattern::unknown, "unfused", Op::query,
        [](auto& v, auto n) {
            each(v, n, [](auto r, auto c, float x) { return r == 20 && c == 7 ? 2 * x + 3 : x; });
        },
        "no known pattern"));
    for (const auto& [design, op] : {std::pair{"unfused", Op::query}, {"fused", Op::context}}) {
        out.push_back(edit(
            fmt::format("some_elements_{}", design), Pattern::unknown, design, op,
            [](auto& v, auto n) {
                std::mt19937 bits(7);
                each(v, n, [&](auto, auto, float x) { return bits() % 100 == 0 ? 1.7F * x : x; });
            },
            "no known pattern"));
    }
    out.push_back({"two_rows_of_garbage", Pattern::unrelated, "unfused", Op::query,
                   [](const Bench& bench, Rows rows) {
                       auto values = bench.healthy(rows);
                       std::mt19937 bits(11);
                       for (float& value : rows.count == 2 ? std::span(values) : std::span<float>()) {
                           value = float(bits() % 2001) / 10 - 100;
                       }
                       return values;
                   },
                   "resembles nothing known"});
    return out;
}

std::vector<Plant> plants_of_norms() {
    std::vector<Plant> out;
    for (const Op op : {Op::attention_norm, Op::mlp_norm, Op::encoder}) {
        const auto add = [&](std::string_view name, Pattern pattern, const Misdeed& m, std::string evidence) {
            out.push_back(misdeed(fmt::format("{}_{}", datasets::name(op), name), pattern, "unfused", op, m,
                                  std::move(evidence)));
        };
        Misdeed m;
        m.norm = Rounding::floor;
        add("gain_floored", Pattern::operand_rounding, m, "gain and bias are rounded floor");
        m = {};
        m.rows = Rounding::nearest_even;
        add("rows_rounded", Pattern::operand_rounding, m, "rows are rounded nearest_even");
        m = {};
        m.bias_factor = 0;
        add("bias_missing", Pattern::bias_missing, m, "the norm's bias is missing");
        m.bias_factor = 2;
        add("bias_doubled", Pattern::bias_doubled, m, "the norm's bias came twice");
        m = {};
        m.with_gain = false;
        add("gain_missing", Pattern::norm_formula, m, "gain is not applied");
        m = {};
        m.mean_factor = 0;
        add("mean_kept", Pattern::norm_formula, m, "the mean is not taken off");
        m = {};
        m.fewer = 1;
        add("unbiased_variance", Pattern::norm_formula, m, "divided by n - 1");
    }
    return out;
}

// Right values in a wrong order, in one tile.
std::vector<Plant> plants_of_orders() {
    std::vector<Plant> out;
    // `from`: the place, within the tile, of what comes to (row, column).
    using Order = std::function<std::pair<std::int64_t, std::int64_t>(std::int64_t, std::int64_t)>;
    const auto add = [&](std::string name, Pattern pattern, Op op, Order from, std::string evidence) {
        out.push_back(edit(
            std::move(name), pattern, "unfused", op,
            [from = std::move(from)](auto& v, auto n) {
                const auto before = v;
                each(v, n, [&](auto r, auto c, float) {
                    const auto [row, column] = from(r, c);
                    return before[index(row * n + column)];
                });
            },
            std::move(evidence)));
    };
    const auto exchanged = [](std::int64_t i) { return i == 5 ? 6 : i == 6 ? 5 : i; };
    for (const Op op : {Op::query, Op::scores, Op::output}) {
        const std::string of = fmt::format("_{}", datasets::name(op));
        add(
            "rows_exchanged" + of, Pattern::rows_reordered, op,
            [=](auto r, auto c) {
                return std::pair{exchanged(r), c};
            },
            "2 of 64 rows hold what belongs to another, first row 5 that of 6");
        add(
            "columns_exchanged" + of, Pattern::columns_reordered, op,
            [=](auto r, auto c) {
                return std::pair{r, exchanged(c)};
            },
            "2 of 64 columns hold what belongs to another, first column 5 that of 6");
        add(
            "blocks_kept" + of, Pattern::blocked_layout, op,
            [](auto r, auto c) {
                const auto place = r * 64 + c;  // of 4x8 blocks, row by row
                const auto block = place / 32;
                return std::pair{block / 8 * 4 + place % 32 / 8, block % 8 * 8 + place % 8};
            },
            "the tile lies as blocks of 4x8, row by row");
        add(
            "blocks_undone_twice" + of, Pattern::blocked_layout, op,
            [](auto r, auto c) {
                const auto place = (c / 4 * 16 + r / 4) * 16 + r % 4 * 4 + c % 4;  // of 4x4, column by column
                return std::pair{place / 64, place % 64};
            },
            "was read as blocks of 4x4, column by column");
        add(
            "shuffled" + of, Pattern::elements_reordered, op,
            [](auto r, auto c) {
                const auto place = (r * 64 + c) * 1571 % 4096;
                return std::pair{place / 64, place % 64};
            },
            "wrong elements hold the right values of others");
    }
    return out;
}

std::vector<Plant> plants_of_tiles() {
    std::vector<Plant> out;
    const auto add = [&](std::string name, Pattern pattern, Op op, EditTile change, std::string evidence) {
        out.push_back(edit(std::move(name), pattern, "unfused", op, std::move(change), std::move(evidence)));
    };
    for (const Op op : {Op::query, Op::scores, Op::output}) {
        const std::string of = fmt::format("_{}", datasets::name(op));
        add(
            "zero_tile" + of, Pattern::zeros, op,
            [](auto& v, auto n) { each(v, n, [](auto, auto, float) { return 0.0F; }); }, "exactly zero");
        add(
            "zero_rows" + of, Pattern::zeros, op,
            [](auto& v, auto n) { each(v, n, [](auto r, auto, float x) { return r < 60 ? x : 0.0F; }); },
            "rows 60-63");
        add(
            "constant_tile" + of, Pattern::constant, op,
            [](auto& v, auto n) { each(v, n, [](auto, auto, float) { return 0.5F; }); }, "is 0.5");
        add(
            "rows_shifted" + of, Pattern::rows_shifted, op,
            [](auto& v, auto n) {
                const auto before = v;
                each(v, n,
                     [&](auto r, auto c, float) { return r == 0 ? 0 : before[index((r - 1) * n + c)]; });
            },
            "each row holds");
        add(
            "columns_shifted" + of, Pattern::columns_shifted, op,
            [](auto& v, auto n) {
                const auto before = v;
                each(v, n, [&](auto r, auto c, float) { return c == 63 ? 0 : before[index(r * n + c + 1)]; });
            },
            "each column holds");
        add(
            "transposed" + of, Pattern::transposed_tile, op,
            [](auto& v, auto n) {
                const auto before = v;
                each(v, n, [&](auto r, auto c, float) { return before[index(c * n + r)]; });
            },
            "transpose");
    }
    return out;
}

std::vector<Plant> plants_of_fits() {
    std::vector<Plant> out;
    const auto add = [&](std::string name, Pattern pattern, Op op, EditTile change, std::string evidence) {
        out.push_back(edit(std::move(name), pattern, "unfused", op, std::move(change), std::move(evidence)));
    };
    for (const Op op : {Op::query, Op::scores, Op::output}) {
        const std::string of = fmt::format("_{}", datasets::name(op));
        add(
            "gain" + of, Pattern::gain, op,
            [](auto& v, auto n) { each(v, n, [](auto, auto, float x) { return 1.02F * x; }); }, "1.02");
        add(
            "row_gain" + of, Pattern::row_gain, op,
            [](auto& v, auto n) {
                each(v, n, [](auto r, auto, float x) { return (r % 2 == 0 ? 1.2F : 0.7F) * x; });
            },
            "0.7 to 1.2");
        add(
            "column_bias" + of, Pattern::column_bias, op,
            [](auto& v, auto n) {
                each(v, n, [](auto, auto c, float x) { return x + (c % 5 == 0 ? 30.0F : -20.0F); });
            },
            "off by a constant, the largest 30");
        add(
            "garbage" + of, Pattern::unrelated, op,
            [](auto& v, auto n) {
                std::mt19937 bits(7);
                each(v, n, [&](auto, auto, float) { return float(bits() % 2001) / 10 - 100; });
            },
            "resembles nothing known");
        add(
            "scattered" + of, Pattern::unknown, op,
            [](auto& v, auto n) {
                std::mt19937 bits(7);
                each(v, n, [&](auto, auto, float x) { return bits() % 7 == 0 ? 1.7F * x : x; });
            },
            "no known pattern (largest: ");
        add(
            "infinite" + of, Pattern::nonfinite, op,
            [](auto& v, auto) { v[3] = std::numeric_limits<float>::infinity(); }, "the op itself makes them");
        add(
            "unwritten" + of, Pattern::unwritten, op,
            [](auto& v, auto n) {
                each(v, n, [](auto, auto, float) { return std::bit_cast<float>(0x7FC00000U); });
            },
            "filled with before the launch");
    }
    // A constant per column explains most of it, and leaves far more than rounding.
    add(
        "bias_and_more", Pattern::unknown, Op::query,
        [](auto& v, auto n) {
            std::mt19937 bits(7);
            each(v, n, [&](auto, auto c, float x) {
                return x + (c % 5 == 0 ? 30.0F : -20.0F) + float(bits() % 2001) / 200 - 5;
            });
        },
        "largest: column_bias, 9");
    return out;
}

std::vector<Plant> plants_of_places() {
    std::vector<Plant> out;
    for (const Rounding rounding : {Rounding::toward_zero, Rounding::floor}) {
        out.push_back({std::string(datasets::name(rounding)), Pattern::store_rounding, "unfused", Op::query,
                       [rounding](const Bench& bench, Rows rows) {
                           std::vector<float> values;
                           for (const double v : bench.exact(rows)) {
                               values.push_back(datasets::round_to_bf16(static_cast<float>(v), rounding));
                           }
                           return values;
                       },
                       fmt::format("stored as bf16 by {}", datasets::name(rounding))});
    }
    for (const Op op : {Op::query, Op::scores, Op::context}) {
        out.push_back({fmt::format("golden_{}", datasets::name(op)), Pattern::golden_copy, "unfused", op,
                       [op](const Bench& bench, Rows rows) {
                           std::vector<float> values(bench.healthy(rows).size());
                           World::get().golden.rows(op, rows, values);
                           return values;
                       },
                       "have the golden's own fp32 bits"});
    }
    out.push_back(
        {"heads_swapped", Pattern::head_swapped, "fused", Op::context,
         [](const Bench& bench, Rows rows) {
             return bench.healthy({rows.head < 2 ? 1 - rows.head : rows.head, rows.begin, rows.count});
         },
         "the golden's head"});
    out.push_back({"tile_of_other_rows", Pattern::misplaced_tile, "unfused", Op::value,
                   [](const Bench& bench, Rows rows) {
                       return bench.healthy(
                           {rows.head, rows.begin == 0 && rows.head == 1 ? 64 : rows.begin, rows.count});
                   },
                   "head 1, tile (1, 0)"});
    out.push_back({"tile_of_earlier_launch", Pattern::stale_tile, "unfused", Op::value,
                   [](const Bench& bench, Rows rows) {
                       return bench.healthy(
                           {rows.head, rows.begin == 64 && rows.head == 1 ? 0 : rows.begin, rows.count});
                   },
                   "which launch 0 made: it is of launch 1"});
    out.push_back({"columns_of_tile_0_twice", Pattern::misplaced_tile, "unfused", Op::output,
                   [](const Bench& bench, Rows rows) {
                       auto values = bench.healthy(rows);
                       for (std::int64_t r = 0; r < rows.count && rows.begin == 0; ++r) {
                           std::copy_n(values.begin() + r * 512, 64, values.begin() + r * 512 + 128);
                       }
                       return values;
                   },
                   "tile (0, 0)"});
    return out;
}

std::vector<Plant> all_plants() {
    std::vector<Plant> out = plants_of_products();
    for (auto* more :
         {&plants_of_softmax, &plants_of_stale_maxima, &plants_of_growth, &plants_of_chance, &plants_of_norms,
          &plants_of_orders, &plants_of_tiles, &plants_of_fits, &plants_of_places}) {
        std::ranges::move(more(), std::back_inserter(out));
    }
    return out;
}

class PlantedPattern : public testing::TestWithParam<Plant> {};

TEST_P(PlantedPattern, GetsItsOwnHypothesis) {
    const Plant& plant = GetParam();
    const Bench bench(plant.design, plant.op);
    const auto found = bench.diagnosis([&](Rows rows) { return plant.make(bench, rows); });
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(name(found->pattern), name(plant.pattern)) << found->evidence;
    EXPECT_THAT(found->evidence, testing::HasSubstr(plant.evidence));
    if (found->pattern != Pattern::unknown && found->pattern != Pattern::unrelated) {
        EXPECT_GE(found->explained, least_explained);
    }
}

INSTANTIATE_TEST_SUITE_P(Patterns, PlantedPattern, testing::ValuesIn(all_plants()),
                         [](const auto& one) { return one.param.name; });

// Rows of a deviation of some 1e-3, where epsilon shows; the golden's are a thousand times as wide.
class SilentRows final : public datasets::Source {
public:
    explicit SilentRows(const datasets::Source& loud) : loud_(loud) {}
    void rows(Op op, Rows rows, std::span<float> out) const override {
        loud_.rows(op, rows, out);
        std::ranges::for_each(out, [](float& value) { value *= 1e-3F; });
    }

private:
    const datasets::Source& loud_;
};

TEST(Diagnosis, SeesAnEpsilonThatIsMissingWhereRowsAreSilent) {
    Misdeed misdeed;
    misdeed.epsilon = 0;
    for (const Op op : {Op::attention_norm, Op::encoder}) {
        const SilentRows silent(op == Op::encoder
                                    ? static_cast<const datasets::Source&>(World::get().golden_end)
                                    : World::get().golden);
        const Bench bench("unfused", op, &silent);
        const auto found = bench.diagnosis([&](Rows rows) { return bench.made(rows, misdeed); });
        ASSERT_TRUE(found.has_value()) << datasets::name(op);
        EXPECT_EQ(name(found->pattern), name(Pattern::norm_formula)) << found->evidence;
        EXPECT_THAT(found->evidence, testing::HasSubstr("epsilon is not added"));
    }
}

// The last block of T = 1500, in blocks of 4x8 of the padded tile, one below the other.
TEST(Diagnosis, SeesTheBlocksOfARaggedTile) {
    std::mt19937 bits(3);
    std::vector<double> padded(64 * 64);
    std::ranges::generate(padded, [&] { return double(bits() % 1000) - 500; });
    ErrorTile tile{28, 64, 0, {}, {}, {}, std::vector<double>(28 * 64, 0.5)};
    tile.expected.assign(padded.begin(), padded.begin() + 28 * 64);
    tile.right = tile.expected;
    for (std::int64_t place = 0; place < 28 * 64; ++place) {
        const std::int64_t block = place / 32;  // of 16 below each other
        tile.got.push_back(
            padded[index((block % 16 * 4 + place % 32 / 8) * 64 + block / 16 * 8 + place % 8)]);
    }
    Hypotheses hypotheses(tile);
    suspect_order(hypotheses, tile);
    const Diagnosis found = hypotheses.best();
    EXPECT_EQ(name(found.pattern), "blocked_layout") << found.evidence;
    EXPECT_THAT(found.evidence, testing::HasSubstr("as blocks of 4x8, column by column"));
}

TEST(Diagnosis, NamesNothingWhereTheKernelIsRight) {
    for (const char* design : {"unfused", "fused"}) {
        for (const Op op :
             {Op::query, Op::key, Op::value, Op::scores, Op::probabilities, Op::context, Op::output}) {
            if (std::string_view(design) == "fused" && (op == Op::scores || op == Op::probabilities)) {
                continue;
            }
            const Bench bench(design, op);
            const auto found = bench.diagnosis([&](Rows rows) { return bench.healthy(rows); });
            EXPECT_FALSE(found.has_value())
                << design << " " << datasets::name(op) << ": " << name(found->pattern) << found->evidence;
        }
    }
}

// The golden, but for the queries, which are scaled.
class EditedQuery final : public datasets::Source {
public:
    explicit EditedQuery(float factor) : factor_(factor) {}

    void rows(Op op, Rows rows, std::span<float> out) const override {
        World::get().golden.rows(op, rows, out);
        for (float& value : op == Op::query ? out : std::span<float>()) {
            value *= factor_;
        }
    }

private:
    float factor_;
};

TEST(Diagnosis, NamesTheOperandThatIsNotFinite) {
    const EditedQuery upstream(std::numeric_limits<float>::quiet_NaN());
    const Bench bench("unfused", Op::scores, &upstream);
    const auto found = bench.diagnosis([&](Rows rows) { return bench.made(rows, {}); });
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(name(found->pattern), "nonfinite_operand");
    EXPECT_THAT(found->evidence, testing::HasSubstr("elements of query that are NaN"));
}

TEST(Diagnosis, SeesThatAnOpReadOtherRowsThanWereEmitted) {
    const EditedQuery upstream(0.25F);
    const Bench emitted("unfused", Op::scores, &upstream);
    const Bench read("unfused", Op::scores);
    const auto found = emitted.diagnosis([&](Rows rows) { return read.healthy(rows); });
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(name(found->pattern), "emitted_otherwise") << found->evidence;
}

TEST(Diagnosis, SaysThatAFaultComesAndGoes) {
    const Bench bench("unfused", Op::query);
    const auto broken = [&](Rows rows) { return std::vector<float>(bench.healthy(rows).size(), 1.0F); };
    const auto found = bench.diagnosis(broken, [&](Rows rows) { return bench.healthy(rows); });
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->pattern, Pattern::not_repeated);
}

TEST(Diagnosis, PlantsEveryPatternThatValuesCanShow) {
    std::map<Pattern, int> planted;
    for (const Plant& plant : all_plants()) {
        ++planted[plant.pattern];
    }
    for (int p = 0; p <= static_cast<int>(Pattern::unknown); ++p) {
        const auto pattern = static_cast<Pattern>(p);
        const bool of_two_ops =
            pattern == Pattern::nonfinite_operand || pattern == Pattern::emitted_otherwise;
        const bool of_headlines = pattern == Pattern::inherited || pattern == Pattern::declared_arithmetic;
        if (pattern != Pattern::not_repeated && !of_two_ops && !of_headlines) {
            EXPECT_GT(planted[pattern], 0) << name(pattern);
        }
        EXPECT_EQ(parse_pattern(name(pattern)), pattern);
    }
    EXPECT_FALSE(parse_pattern("gremlins").has_value());
}

}  // namespace
}  // namespace harness
