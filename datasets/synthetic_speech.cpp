// A formant synthesiser after D. Klatt, "Software for a cascade/parallel formant synthesizer" (1980): source,
// cascade of resonators, level. Whatever the mathematical library would be asked for comes from
// synthetic_waves.hpp.
#include "datasets/synthetic_speech.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <stdexcept>

#include "datasets/sha256.hpp"
#include "datasets/synthetic_random.hpp"
#include "datasets/synthetic_waves.hpp"

namespace datasets {
namespace {

// Formants, pitch and loudness move in steps of 5 ms.
constexpr std::int64_t step_samples = 80;
constexpr double turn = 0x1p32;
constexpr double target_rms = 0.1;  // -20 dBFS
constexpr double largest_peak = 0.95;

enum class Sound : std::uint8_t { voiced, unvoiced, pause };

// What the voice aims at during one sound.
struct Target {
    Sound sound = Sound::pause;
    std::int64_t steps = 0;
    std::array<double, 3> formants_hz{500, 1500, 2500};
    double hiss_hz = 4000;
    double pitch_hz = 120;
    double loudness = 0;
};

// y[n] = a x[n] + b y[n-1] + c y[n-2]: gain 1 at 0 Hz.
class Resonator {
public:
    void tune(double centre_hz, double bandwidth_hz) {
        // Radius of the pole, exp(-pi bandwidth / rate).
        constexpr double pi_per_ln2 = 4.532360141827194;
        const double radius = power_of_two(-pi_per_ln2 * bandwidth_hz / sample_rate_hz);
        const auto phase = static_cast<std::uint32_t>(centre_hz / sample_rate_hz * turn);
        b_ = 2 * radius * cosine(phase);
        c_ = -radius * radius;
        a_ = 1 - b_ - c_;
    }
    double next(double x) {
        const double y = a_ * x + b_ * last_ + c_ * before_;
        before_ = last_;
        last_ = y;
        return y;
    }

private:
    double a_ = 1;
    double b_ = 0;
    double c_ = 0;
    double last_ = 0;
    double before_ = 0;
};

// The sound with this index: one of the sequence of a seed.
class Script {
public:
    explicit Script(std::uint64_t seed) : random_(seed, RandomPurpose::speech_sound, 0) {}

    [[nodiscard]] Target target(std::uint64_t index) const {
        const auto draw = [&](std::uint64_t which, double low, double high) {
            return low + (high - low) * random_.uniform(index * 8 + which);
        };
        Target target;
        const double kind = draw(0, 0, 1);
        target.sound = kind < 0.6 ? Sound::voiced : (kind < 0.8 ? Sound::unvoiced : Sound::pause);
        target.steps = static_cast<std::int64_t>(draw(1, 12, 44));
        target.formants_hz = {draw(2, 250, 850), draw(3, 900, 2300), draw(4, 2400, 3200)};
        target.hiss_hz = draw(5, 2500, 5500);
        target.pitch_hz = 160 * power_of_two(draw(6, -1, 1));
        target.loudness = target.sound == Sound::pause ? 0 : power_of_two(draw(7, -1.5, 0));
        return target;
    }

private:
    RandomSequence random_;
};

// Where the voice is; follows its targets with a time constant of some 20 ms.
class Voice {
public:
    explicit Voice(std::uint64_t seed) : noise_(seed, RandomPurpose::speech_noise, 0) {}

    void step_towards(const Target& target) {
        constexpr double share = 0.25;
        const auto approach = [](double& value, double goal) { value += share * (goal - value); };
        constexpr std::array<double, 3> bandwidths_hz{70, 100, 150};
        for (std::size_t i = 0; i < formants_.size(); ++i) {
            approach(now_.formants_hz[i], target.formants_hz[i]);
            formants_[i].tune(now_.formants_hz[i], bandwidths_hz[i]);
        }
        approach(now_.hiss_hz, target.hiss_hz);
        hiss_.tune(now_.hiss_hz, 1200);
        approach(now_.pitch_hz, target.pitch_hz);
        approach(voicing_, target.sound == Sound::voiced ? target.loudness : 0);
        approach(hissing_, target.sound == Sound::unvoiced ? target.loudness : 0);
    }

    double next() {
        constexpr double breath = 0.002;
        constexpr double hiss_level = 0.04;
        const double noise = noise_.normal(noise_index_++);
        phase_ += static_cast<std::uint32_t>(now_.pitch_hz / sample_rate_hz * turn);
        double sound = voicing_ * glottis() + breath * noise;
        for (Resonator& formant : formants_) {
            sound = formant.next(sound);
        }
        return sound + hiss_.next(hissing_ * hiss_level * noise);
    }

private:
    // Flow derivative of one cycle (KLGLOTT88): 2 u - 3 u^2 while the glottis is open, 60% of the cycle.
    [[nodiscard]] double glottis() const {
        constexpr double open_share = 0.6;
        const double u = static_cast<double>(phase_) / (turn * open_share);
        return u < 1 ? (2 - 3 * u) * u : 0;
    }

    RandomSequence noise_;
    std::uint64_t noise_index_ = 0;
    std::uint32_t phase_ = 0;
    Target now_;
    double voicing_ = 0;
    double hissing_ = 0;
    std::array<Resonator, 3> formants_;
    Resonator hiss_;
};

void speak(std::uint64_t seed, std::span<float> out) {
    const Script script(seed);
    Voice voice(seed);
    Target target;
    std::uint64_t index = 0;
    std::int64_t steps_left = 0;
    for (std::size_t begin = 0; begin < out.size(); begin += step_samples) {
        if (steps_left == 0) {
            target = script.target(index++);
            steps_left = target.steps;
        }
        --steps_left;
        voice.step_towards(target);
        for (float& sample : out.subspan(begin, std::min<std::size_t>(step_samples, out.size() - begin))) {
            sample = static_cast<float>(voice.next());
        }
    }
}

// Brings the level to the target and the samples to steps of 16 bits.
void level(std::span<float> samples) {
    double energy = 0;
    double peak = 0;
    for (const float sample : samples) {
        const auto value = static_cast<double>(sample);
        energy += value * value;
        peak = std::max(peak, std::abs(value));
    }
    if (peak == 0) {
        return;
    }
    const double rms = std::sqrt(energy / static_cast<double>(samples.size()));
    const double gain = std::min(target_rms / rms, largest_peak / peak);
    for (float& sample : samples) {
        sample = static_cast<float>(std::floor(static_cast<double>(sample) * gain * 0x1p15 + 0.5) * 0x1p-15);
    }
}

}  // namespace

AudioClip synthetic_speech(double seconds, std::uint64_t seed) {
    const double length = std::floor(seconds * sample_rate_hz + 0.5);
    if (!(length >= 1 && seconds <= static_cast<double>(longest_audio_seconds))) {
        throw std::invalid_argument(fmt::format("synthetic speech of {} s; its length lies within (0, {}] s",
                                                seconds, longest_audio_seconds));
    }
    AudioClip clip;
    clip.samples.resize(static_cast<std::size_t>(length));
    const std::size_t silence = std::min<std::size_t>(clip.samples.size() / 20, sample_rate_hz / 2);
    speak(seed, std::span(clip.samples).first(clip.samples.size() - silence));
    level(clip.samples);
    clip.id = fmt::format("synthetic-speech-{}", seed);
    clip.seconds = length / sample_rate_hz;
    clip.sha256 = sha256_hex(std::as_bytes(std::span(clip.samples)));
    clip.origin = fmt::format("synthetic speech, {} s, seed {}", clip.seconds, seed);
    return clip;
}

}  // namespace datasets
