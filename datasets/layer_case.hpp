// One encoder layer of one clip: shape, input and weights, and what the recording holds of its results.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "datasets/op.hpp"

namespace datasets {

// y = x weight^T + bias. weight is [out, in] row-major, as in every published checkpoint; bias is [out], or
// empty.
struct Linear {
    std::vector<float> weight;
    std::vector<float> bias;
};

// In Whisper the key projection has no bias.
struct AttentionWeights {
    Linear query;
    Linear key;
    Linear value;
    Linear output;
};

// Layer normalisation over the channels: gain and bias [width], eps 1e-5, biased variance.
struct Norm {
    std::vector<float> gain;
    std::vector<float> bias;
};

// Everything one pre-norm encoder block needs: x += attention(norm(x)); x += fc2(gelu(fc1(norm(x)))).
struct BlockWeights {
    Norm attention_norm;
    AttentionWeights attention;
    Norm mlp_norm;
    Linear fc1;  // [4 width, width]
    Linear fc2;  // [width, 4 width]
};

// Const once loaded. All tensors fp32, row-major.
struct LayerCase {
    std::string clip;
    int layer = 0;
    LayerShape shape;
    std::vector<float> input;  // attention_norm: [time, width]
    AttentionWeights weights;
    std::map<Op, std::vector<float>>
        recorded;                        // query, key, value, context, output: [time, width], each optional
    std::vector<float> row_max;          // of the scaled scores, [head, time], optional
    std::vector<float> row_log_sum_exp;  // of the scaled scores, [head, time], optional
};

}  // namespace datasets
