// The pieces of a Whisper encoder: its stem, one layer of one clip, its end; and the weights of a whole one.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "datasets/arithmetic.hpp"
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

// The convolutions before the first block, and the table of positions.
struct StemWeights {
    Linear conv1;                  // weight [width, mels, 3], as published; bias [width]
    Linear conv2;                  // weight [width, width, 3], bias [width]
    std::vector<float> positions;  // [rows, width], added to the rows of conv2
};

// One layer of one clip. Const once loaded. All tensors fp32, row-major.
struct LayerCase {
    std::string clip;
    int layer = 0;
    LayerShape shape;
    std::vector<float> input;   // attention_norm: [time, width]; empty where only a source knows it
    std::vector<float> stream;  // embedding: the residual stream that enters the layer, optional
    BlockWeights weights;       // norms and MLP are empty where a recording holds the attention alone
    std::map<Op, std::vector<float>> recorded;  // tensors of the layer by op, [time, row], each optional
    std::vector<float> row_max;                 // of the scaled scores, [head, time], optional
    std::vector<float> row_log_sum_exp;         // of the scaled scores, [head, time], optional
    DType stored = DType::f32;                  // of the recording that all of this comes from
};

// The stem: conv1 = gelu(conv(mel)), conv2 = gelu(conv(conv1)), embedding = conv2 + positions.
struct StemCase {
    StemShape shape;
    StemWeights weights;  // positions: [context, width]
};

// The end: encoder = norm(block of the last layer).
struct EndCase {
    LayerShape shape;
    Norm norm;
    std::vector<float> recorded = {};  // encoder: [time, width], optional
    DType stored = DType::f32;         // of the recording that all of this comes from
};

// All weights of an encoder, and where they come from.
struct EncoderWeights {
    std::string model_id;      // e.g. "whisper-base"
    std::string model_sha256;  // of the checkpoint, or of the generator's tensors
    std::string source;        // "checkpoint" | "random"
    int mels = 0;
    int heads = 0;
    StemWeights stem;
    std::vector<BlockWeights> blocks;
    Norm final_norm;

    [[nodiscard]] int layers() const { return static_cast<int>(blocks.size()); }
    [[nodiscard]] std::int64_t width() const { return std::int64_t{heads} * head_width; }
};

}  // namespace datasets
