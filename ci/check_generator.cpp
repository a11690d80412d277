// Generates the synthetic model and synthetic speech, and compares every fingerprint with the frozen
// ones; exit code 1 when any differs. Compiled by check_generator.sh with each compiler and optimisation
// level.
#include <cstdio>
#include <string>

#include "datasets/random_weights.hpp"
#include "datasets/synthetic.hpp"
#include "datasets/synthetic_fingerprints.hpp"
#include "datasets/synthetic_speech.hpp"

namespace {

class Comparison {
public:
    void compare(const std::string& what, std::uint64_t got, std::uint64_t frozen) {
        ++compared_;
        if (got != frozen) {
            ++differing_;
            std::printf("  %s: %016llx, frozen %016llx\n", what.c_str(), static_cast<unsigned long long>(got),
                        static_cast<unsigned long long>(frozen));
        }
    }

    [[nodiscard]] int finish() const {
        std::printf("  %d fingerprints compared, %d differ\n", compared_, differing_);
        return differing_ == 0 ? 0 : 1;
    }

private:
    int compared_ = 0;
    int differing_ = 0;
};

}  // namespace

int main() {
    Comparison comparison;
    const std::vector<float> nothing;
    std::uint64_t model = datasets::fingerprint(nothing);
    std::size_t index = 0;
    datasets::for_each_tensor({}, [&](const std::string& name, const std::vector<float>& tensor) {
        model = datasets::fingerprint(tensor, model);
        comparison.compare(name, datasets::fingerprint(tensor),
                           datasets::frozen_fingerprints.at(index).value);
        ++index;
    });
    comparison.compare("number of tensors", index, datasets::frozen_fingerprints.size());
    comparison.compare("hard model", model, datasets::frozen_models[0].value);
    for (const datasets::EmbeddingFingerprint& frozen : datasets::frozen_embeddings) {
        const std::vector<float> embedding = datasets::synthetic_embedding({.shape = {frozen.context, 8}});
        comparison.compare("embedding at context " + std::to_string(frozen.context),
                           datasets::fingerprint(embedding), frozen.value);
    }
    comparison.compare("benign model", datasets::fingerprint({.profile = datasets::Profile::benign}),
                       datasets::frozen_models[2].value);
    for (const datasets::SpeechFingerprint& frozen : datasets::frozen_speech) {
        const datasets::AudioClip clip = datasets::synthetic_speech(frozen.seconds, frozen.seed);
        comparison.compare(clip.origin, datasets::fingerprint(clip.samples), frozen.value);
    }
    const datasets::StemWeights stem =
        datasets::random_weights(*datasets::parse_whisper_size("tiny"), datasets::frozen_seed).stem;
    index = 0;
    for (const auto* tensor :
         {&stem.conv1.weight, &stem.conv1.bias, &stem.conv2.weight, &stem.conv2.bias, &stem.positions}) {
        const datasets::TensorFingerprint& frozen = datasets::frozen_stem.at(index);
        comparison.compare("random " + std::string(frozen.tensor), datasets::fingerprint(*tensor),
                           frozen.value);
        ++index;
    }
    std::printf("  hard model %016llx\n", static_cast<unsigned long long>(model));
    return comparison.finish();
}
