// libFuzzer target: any bytes are a checkpoint or a ReadError. What is accepted must hold what it promises.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "datasets/checkpoint.hpp"
#include "datasets/fuzz_file.hpp"

namespace datasets {
namespace {

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

void require_values(const std::vector<float>& values, std::int64_t size) {
    require(std::ssize(values) == size);
    require(std::ranges::all_of(values, [](float value) { return std::isfinite(value); }));
}

void require_promises(const EncoderWeights& weights, const CheckpointSummary& summary) {
    const std::int64_t width = weights.width();
    require(weights.heads > 0 && weights.mels > 0 && weights.layers() > 0 &&
            weights.model_sha256.size() == 64);
    require(summary.heads == weights.heads && summary.layers == weights.layers());
    require_values(weights.stem.conv1.weight, width * weights.mels * 3);
    require_values(weights.stem.conv2.weight, width * width * 3);
    require_values(weights.stem.positions, summary.context * width);
    for (const BlockWeights& block : weights.blocks) {
        require_values(block.attention.key.weight, width * width);
        require(block.attention.key.bias.empty());
        require_values(block.fc1.weight, 4 * width * width);
        require_values(block.fc1.bias, 4 * width);
        require_values(block.fc2.weight, 4 * width * width);
        require_values(block.fc2.bias, width);
    }
    require_values(weights.final_norm.gain, width);
}

}  // namespace
}  // namespace datasets

// libFuzzer's own mutation.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

// Changes the JSON header of a safetensors file and makes its length true again, two times of three: a
// mutation that does not know the length hardly ever gets past it.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned int seed) {
    constexpr std::size_t length_bytes = 8;
    std::uint64_t header = 0;
    if (size >= length_bytes) {
        std::memcpy(&header, data, length_bytes);
    }
    if (size < length_bytes || header > size - length_bytes || seed % 3 == 0) {
        return LLVMFuzzerMutate(data, size, most);
    }
    const std::vector<std::uint8_t> payload(data + length_bytes + header, data + size);
    const std::size_t room = most - length_bytes - payload.size();
    header = LLVMFuzzerMutate(data + length_bytes, header, room);
    std::memcpy(data, &header, length_bytes);
    std::ranges::copy(payload, data + length_bytes + header);
    return length_bytes + header + payload.size();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const datasets::FuzzFile file(data, size);
    try {
        const datasets::EncoderWeights weights = datasets::read_checkpoint(file.name());
        datasets::require_promises(weights, datasets::inspect_checkpoint(file.name()));
    } catch (const datasets::ReadError&) {
        return 0;  // the other allowed end
    }
    return 0;
}
