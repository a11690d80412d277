#include "reference/golden_mlp.hpp"

#include <algorithm>

#include "reference/elementwise.hpp"
#include "reference/layer_norm.hpp"
#include "reference/projection.hpp"

namespace reference {
namespace {

using datasets::Op;
using datasets::Rows;

// Rows of one task. Each packs both weights anew, so blocks are tall; shorter ones balance better over many
// threads.
constexpr std::int64_t mlp_rows = 384;

std::span<float> elements(Matrix<float> dense) {
    return {dense.data, static_cast<std::size_t>(dense.rows * dense.columns)};
}

// One row block on its way through the ops. An op that the run does not compute but whose result the next one
// reads comes from outside.
class MlpTask {
public:
    MlpTask(const Run& run, const datasets::BlockWeights& weights, datasets::LayerShape shape, Rows rows,
            Scratch& scratch)
        : run_(run),
          weights_(weights),
          rows_(rows),
          residual_(Scratch::matrix(scratch.residual, rows.count, shape.width())),
          narrow_(Scratch::matrix(scratch.rows, rows.count, shape.width())),
          clock_(run, scratch.seconds) {
        if (run.computes(Op::fc1) || run.computes(Op::gelu) || run.computes(Op::fc2)) {
            hidden_ = Scratch::matrix(scratch.wide, rows.count, shape.mlp_width());
        }
    }

    void run() {
        if (run_.computes(Op::attention_residual)) {
            const ConstMatrix<float> stream = run_.rows_of(Op::embedding, rows_, narrow_);
            const ConstMatrix<float> attended = run_.rows_of(Op::output, rows_, residual_);
            clock_.skip();
            add(stream, attended, residual_);
            clock_.charge_and_push(Op::attention_residual, rows_, residual_);
        } else if (run_.computes(Op::mlp_norm) || run_.computes(Op::block)) {
            pull(Op::attention_residual, residual_);
        }
        if (run_.computes(Op::mlp_norm)) {
            layer_norm(weights_.mlp_norm, residual_, narrow_);
            clock_.charge_and_push(Op::mlp_norm, rows_, narrow_);
        } else if (run_.computes(Op::fc1)) {
            pull(Op::mlp_norm, narrow_);
        }
        pass_hidden();
        if (run_.computes(Op::block)) {
            add(residual_, narrow_, residual_);
            clock_.charge_and_push(Op::block, rows_, residual_);
        }
    }

private:
    // narrow_ -> hidden_ -> narrow_.
    void pass_hidden() {
        if (run_.computes(Op::fc1)) {
            apply_rows(weights_.fc1, 0, narrow_, hidden_);
            clock_.charge_and_push(Op::fc1, rows_, hidden_);
        } else if (run_.computes(Op::gelu)) {
            pull(Op::fc1, hidden_);
        }
        if (run_.computes(Op::gelu)) {
            gelu(elements(hidden_));
            clock_.charge_and_push(Op::gelu, rows_, hidden_);
        } else if (run_.computes(Op::fc2)) {
            pull(Op::gelu, hidden_);
        }
        if (run_.computes(Op::fc2)) {
            apply_rows(weights_.fc2, 0, hidden_, narrow_);
            clock_.charge_and_push(Op::fc2, rows_, narrow_);
        } else if (run_.computes(Op::block)) {
            pull(Op::fc2, narrow_);
        }
    }

    void pull(Op op, Matrix<float> place) {
        run_.pull(op, rows_, elements(place));
        clock_.skip();
    }

    const Run& run_;
    const datasets::BlockWeights& weights_;
    Rows rows_;
    Matrix<float> residual_;
    Matrix<float> narrow_;
    Matrix<float> hidden_;
    TaskClock clock_;
};

}  // namespace

OpSeconds pass_mlp(const Run& run, const datasets::BlockWeights& weights, datasets::LayerShape shape) {
    const std::int64_t blocks = (shape.context + mlp_rows - 1) / mlp_rows;
    return for_each_timed_task(run.workspace, blocks, [&](std::int64_t block, Scratch& scratch) {
        const std::int64_t begin = block * mlp_rows;
        MlpTask(run, weights, shape, {-1, begin, std::min(mlp_rows, shape.context - begin)}, scratch).run();
    });
}

}  // namespace reference
