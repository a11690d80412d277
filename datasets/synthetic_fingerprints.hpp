// What the generator yields for the frozen seed at Whisper base's size (8 heads): the identity of the default
// recording. A change here is a change of the recipe and needs a new `recipe_version`.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/synthetic.hpp"

namespace datasets {

// Visits every tensor of a model in the order of the recipe: embedding; per layer attention norm, query, key,
// value, output, mlp norm, fc1, fc2 (gain or weight before bias; the key has no bias); final norm.
void for_each_tensor(
    const SyntheticModel& model,
    const std::function<void(const std::string& name, const std::vector<float>& tensor)>& visit);

// The fingerprint of all tensors in one sequence.
std::uint64_t fingerprint(const SyntheticModel& model);

struct TensorFingerprint {
    std::string_view tensor;
    std::uint64_t value;
};

// Every tensor of the hard profile: context 1500, 8 heads, 6 layers.
inline constexpr std::array<TensorFingerprint, 93> frozen_fingerprints{{
    {"embedding", 0x34223249037f87fb},
    {"layer0.attention_norm.gain", 0xab8d52db8d544183},
    {"layer0.attention_norm.bias", 0x167ce89651702173},
    {"layer0.query.weight", 0x44cabd084538cc51},
    {"layer0.query.bias", 0x15aab125bfb4931b},
    {"layer0.key.weight", 0x26fe4a1cc1ca7e90},
    {"layer0.value.weight", 0x432976c67fcbf8dd},
    {"layer0.value.bias", 0x9cb9b7b46f85ac3f},
    {"layer0.output.weight", 0x36e5c3ad2804c8ae},
    {"layer0.output.bias", 0x4e07313912a41651},
    {"layer0.mlp_norm.gain", 0x19a99708f5f4ffdf},
    {"layer0.mlp_norm.bias", 0x09667ec8c969bd2c},
    {"layer0.fc1.weight", 0x88d90d79678a34c0},
    {"layer0.fc1.bias", 0xed18fa1b71355dd1},
    {"layer0.fc2.weight", 0x449ac0f82a22e23e},
    {"layer0.fc2.bias", 0x33b9a78392cecfae},
    {"layer1.attention_norm.gain", 0x1c0755e46a2c082f},
    {"layer1.attention_norm.bias", 0xd0878b7ed8921b3a},
    {"layer1.query.weight", 0x7f53846738857d10},
    {"layer1.query.bias", 0xa6d4b98fcef057e9},
    {"layer1.key.weight", 0x59904b5933bac8e7},
    {"layer1.value.weight", 0xa936c80871e35c60},
    {"layer1.value.bias", 0x8e5662e69e954c52},
    {"layer1.output.weight", 0x661def4b0d47b60b},
    {"layer1.output.bias", 0x2af6a4cff2d02ec4},
    {"layer1.mlp_norm.gain", 0x9fc295eb586e1762},
    {"layer1.mlp_norm.bias", 0x30893e5bf9423be5},
    {"layer1.fc1.weight", 0x5a3dd667fe7a06fe},
    {"layer1.fc1.bias", 0x0663f8d0c6636268},
    {"layer1.fc2.weight", 0x85754eb4c805c20a},
    {"layer1.fc2.bias", 0x6bbc03ab27f5e47b},
    {"layer2.attention_norm.gain", 0x59a738ce0a56a689},
    {"layer2.attention_norm.bias", 0xb605ba663e2e4b93},
    {"layer2.query.weight", 0x33288186e4a4fafe},
    {"layer2.query.bias", 0xe09b872669520dfd},
    {"layer2.key.weight", 0x272df5cf603c4cbb},
    {"layer2.value.weight", 0x139596f9a030827b},
    {"layer2.value.bias", 0x4126f8ba5920618a},
    {"layer2.output.weight", 0xf0fed16d5706461f},
    {"layer2.output.bias", 0x9094aa769f7b2c7e},
    {"layer2.mlp_norm.gain", 0xed34d3bcb1949103},
    {"layer2.mlp_norm.bias", 0x6effddebbc4b1be7},
    {"layer2.fc1.weight", 0xb5130c0e8866ed51},
    {"layer2.fc1.bias", 0xc6a10b6497870ed0},
    {"layer2.fc2.weight", 0xbf0eb80f4a6a6cf1},
    {"layer2.fc2.bias", 0xe95887c5dd497a0b},
    {"layer3.attention_norm.gain", 0x85a4f19d1a9d26d9},
    {"layer3.attention_norm.bias", 0x28db88f2045f5152},
    {"layer3.query.weight", 0x88c2bd9ede95a5b2},
    {"layer3.query.bias", 0x2794c5a7ddff164e},
    {"layer3.key.weight", 0xc99789743dc659d1},
    {"layer3.value.weight", 0x63d1c2eb07f4d810},
    {"layer3.value.bias", 0x38035f40368d14b8},
    {"layer3.output.weight", 0xa27300ebc020d406},
    {"layer3.output.bias", 0x8d97bbacf46fca95},
    {"layer3.mlp_norm.gain", 0x0176986232cee5ba},
    {"layer3.mlp_norm.bias", 0x0f1d06d5c370c5dc},
    {"layer3.fc1.weight", 0xd7162a6a076be2ea},
    {"layer3.fc1.bias", 0xafeb109f2013c5dd},
    {"layer3.fc2.weight", 0x5820d997121b2f52},
    {"layer3.fc2.bias", 0x33324ad1417b940e},
    {"layer4.attention_norm.gain", 0x99e9c6a7cf0d5df9},
    {"layer4.attention_norm.bias", 0x1cc385c5b9f755e9},
    {"layer4.query.weight", 0x8f32a3c769417165},
    {"layer4.query.bias", 0x991f51af8250aeca},
    {"layer4.key.weight", 0x5bc1f8871c42052e},
    {"layer4.value.weight", 0xdaca905b39e1658a},
    {"layer4.value.bias", 0x403fe5a6e1e99ba3},
    {"layer4.output.weight", 0xa5f3ed325f86e55d},
    {"layer4.output.bias", 0x19e30ec7ef759862},
    {"layer4.mlp_norm.gain", 0x89c2e3424cf29290},
    {"layer4.mlp_norm.bias", 0x6814ac770517bdf9},
    {"layer4.fc1.weight", 0xcced431fedff6988},
    {"layer4.fc1.bias", 0x32500cfd37d8cfdb},
    {"layer4.fc2.weight", 0x2dfc72e6d97d117b},
    {"layer4.fc2.bias", 0x9df87c99725a5829},
    {"layer5.attention_norm.gain", 0x62be89de92b54e7a},
    {"layer5.attention_norm.bias", 0xa44fc5218949f504},
    {"layer5.query.weight", 0x4ee4f887215517fa},
    {"layer5.query.bias", 0xa918d4c22fb90aef},
    {"layer5.key.weight", 0xf4c51e9e7444ad76},
    {"layer5.value.weight", 0x1c18756cd1a203ad},
    {"layer5.value.bias", 0x314ad2d2c0d22a65},
    {"layer5.output.weight", 0xc7e24beaf1ce2dfd},
    {"layer5.output.bias", 0x4bb3246636cd5634},
    {"layer5.mlp_norm.gain", 0x5aba84f40fd6317f},
    {"layer5.mlp_norm.bias", 0x98e4a6b528d82a27},
    {"layer5.fc1.weight", 0xca6371f79ab85958},
    {"layer5.fc1.bias", 0x7bc556ae2115ab96},
    {"layer5.fc2.weight", 0x68b5223ba09f1d3c},
    {"layer5.fc2.bias", 0xe369f20c83990a14},
    {"final_norm.gain", 0x9f6a1d206e21032b},
    {"final_norm.bias", 0x85f1b922d823765c},
}};

// All tensors in one sequence, at context 1500.
struct ModelFingerprint {
    Profile profile;
    std::uint64_t seed;
    std::uint64_t value;
};

inline constexpr std::array<ModelFingerprint, 3> frozen_models{{
    {Profile::hard, frozen_seed, 0x8b4452d6a242b283},
    {Profile::hard, 7, 0x4800170bd5f75ac7},
    {Profile::benign, frozen_seed, 0xc31e7cf048644c6b},
}};

// The hard embedding alone at other contexts; the weights do not depend on the context.
struct EmbeddingFingerprint {
    std::int64_t context;
    std::uint64_t value;
};

inline constexpr std::array<EmbeddingFingerprint, 3> frozen_embeddings{{
    {1, 0x33c73128f358d9d4},
    {250, 0x256b3efbc2a41c17},
    {3001, 0x5a902f3a83c3a6ee},
}};

// Synthetic speech (synthetic_speech.hpp), which no recording of the model depends on.
struct SpeechFingerprint {
    double seconds;
    std::uint64_t seed;
    std::uint64_t value;
};

inline constexpr std::array<SpeechFingerprint, 3> frozen_speech{{
    {5, 1, 0x87a7e72e5da29383},
    {30, 1, 0xa7c20e90d5fde383},
    {1.5, 42, 0x7688758a16aec883},
}};

// The stem of random_weights of size tiny for the frozen seed.
inline constexpr std::array<TensorFingerprint, 5> frozen_stem{{
    {"conv1.weight", 0x55de6027147c7507},
    {"conv1.bias", 0x08ea965ce43496e5},
    {"conv2.weight", 0x4e0d119f842ec3e3},
    {"conv2.bias", 0x7af7e7ab599bcd5d},
    {"positions", 0x8971b07371cc0e01},
}};

}  // namespace datasets
