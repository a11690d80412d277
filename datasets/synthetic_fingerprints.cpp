// Names the tensors of a synthetic model and folds them into one fingerprint.
#include "datasets/synthetic_fingerprints.hpp"

namespace datasets {
namespace {

using Visit = std::function<void(const std::string& name, const std::vector<float>& tensor)>;

void visit_norm(const std::string& name, const Norm& norm, const Visit& visit) {
    visit(name + ".gain", norm.gain);
    visit(name + ".bias", norm.bias);
}

void visit_linear(const std::string& name, const Linear& linear, const Visit& visit) {
    visit(name + ".weight", linear.weight);
    if (!linear.bias.empty()) {
        visit(name + ".bias", linear.bias);
    }
}

}  // namespace

void for_each_tensor(const SyntheticModel& model, const Visit& visit) {
    visit("embedding", synthetic_embedding(model));
    for (int layer = 0; layer < model.layers; ++layer) {
        const BlockWeights block = synthetic_block(model, layer);
        const std::string prefix = "layer" + std::to_string(layer) + ".";
        visit_norm(prefix + "attention_norm", block.attention_norm, visit);
        visit_linear(prefix + "query", block.attention.query, visit);
        visit_linear(prefix + "key", block.attention.key, visit);
        visit_linear(prefix + "value", block.attention.value, visit);
        visit_linear(prefix + "output", block.attention.output, visit);
        visit_norm(prefix + "mlp_norm", block.mlp_norm, visit);
        visit_linear(prefix + "fc1", block.fc1, visit);
        visit_linear(prefix + "fc2", block.fc2, visit);
    }
    visit_norm("final_norm", synthetic_final_norm(model), visit);
}

std::uint64_t fingerprint(const SyntheticModel& model) {
    std::uint64_t hash = fingerprint(std::vector<float>{});
    for_each_tensor(model, [&](const std::string&, const std::vector<float>& tensor) {
        hash = fingerprint(tensor, hash);
    });
    return hash;
}

}  // namespace datasets
