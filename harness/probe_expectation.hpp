// What a probe is due to give, block by block, and the sink that compares.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <tuple>
#include <vector>

#include "datasets/path.hpp"
#include "harness/bounds.hpp"
#include "harness/probe_data.hpp"
#include "harness/probe_row.hpp"

namespace harness {

// Blocks arrive concurrently, those of one (head, row) in dataflow order.
class Expectation {
public:
    virtual ~Expectation() = default;

    // Fills `into` with values and bounds, [rows, columns]; a bound of 0 asks for the very number. False: the
    // block must only be finite.
    virtual bool expect(datasets::Op op, datasets::Rows rows, const datasets::TensorView& got,
                        Bounded& into) = 0;

    // How far the sums of rows of probabilities may lie from 1; false: not asked for.
    virtual bool expect_row_sums(datasets::Rows, std::span<double>) { return false; }
};

// Which blocks of raised_keys and deep_keys have an expectation: every one, or three of each head, for what a
// bound of each element costs.
enum class Blocks : std::uint8_t { sampled, all };

// What a probe is run on.
struct ProbeOperands {
    datasets::LayerShape shape;
    const datasets::Source& source;  // query, key and value
    int head = -1;                   // as in datasets::Work
    Blocks blocks = Blocks::sampled;
};

// Of scores to context of a probe but `integers`.
std::unique_ptr<Expectation> expectation_of(Probe probe, const datasets::Path& path,
                                            const ProbeOperands& operands);

// Of integer scores, and of integer values under probabilities of 0 and 1 (probe_data.hpp).
std::unique_ptr<Expectation> expect_integers(datasets::LayerShape shape);

// Exactly the scores of integer queries and keys that `source` serves.
std::unique_ptr<Expectation> expect_exact_scores(datasets::LayerShape shape, const datasets::Source& source);

// Exactly `values` [time, columns] of `op`.
std::unique_ptr<Expectation> expect_exactly(datasets::Op op, std::span<const float> values,
                                            std::int64_t columns);

// Compares what arrives with an expectation, which must outlive it.
class ProbeSink final : public datasets::Sink {
public:
    explicit ProbeSink(Expectation& expectation) : expectation_(expectation) {}

    bool wants(datasets::Op) const override { return true; }
    void accept(datasets::Op op, datasets::Rows rows, const datasets::TensorView& values) override;

    struct Figures {
        std::int64_t elements = 0;
        std::int64_t judged = 0;
        std::int64_t nonfinite = 0;
        double rho = 0;
        double row_sum_rho = 0;
        datasets::Op op{};  // of the worst element
        Element worst;
        std::array<float, 4> group{};  // the worst element's group of four channels as they came
        Element worst_row_sum;
    };
    // Does not depend on the order in which blocks arrived.
    [[nodiscard]] const Figures& figures() const { return figures_; }

private:
    Expectation& expectation_;
    std::mutex mutex_;
    std::set<std::tuple<datasets::Op, int, std::int64_t>> arrived_;
    Figures figures_;
};

// Every limit that a probe went beyond; `row` holds what `figures` hold.
std::vector<Finding> judge_probe(const ProbeRow& row, const ProbeSink::Figures& figures);

// Computes each of `runs` on `source`, compares, and fills the row, of which probe, shape and head are given.
// Broken guards become findings.
ProbeRow run_probe(datasets::PreparedLayer& prepared, const datasets::Source& source,
                   Expectation& expectation, ProbeRow row, const std::vector<datasets::OpRange>& runs);

}  // namespace harness
