#include "reference/log_mel.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "datasets/audio.hpp"
#include "reference/fourier.hpp"

namespace reference {
namespace {

constexpr std::int64_t mirrored = fourier_samples / 2;

// Frames of one task: the power spectra of one block stay in the first-level caches.
constexpr std::int64_t block_frames = 32;

void check_mels(int mels) {
    if (mels < 1 || mels > most_mels) {
        throw std::invalid_argument("a mel filterbank has 1 .. 128 mels");
    }
}

// Slaney's scale above 1 kHz: the logarithm of the frequency per mel.
const double log_per_mel = std::log(6.4) / 27;

// The same scale backwards: from mels to Hz.
double hertz(double mel) {
    constexpr double hertz_per_mel = 200.0 / 3;
    constexpr double break_mel = 15;  // 1 kHz
    return mel < break_mel ? hertz_per_mel * mel : 1000 * std::exp(log_per_mel * (mel - break_mel));
}

// The weights of one mel that are not zero.
struct Filter {
    std::int64_t first_bin = 0;
    std::vector<double> weights;
};

std::vector<Filter> filters_of(int mels) {
    const std::vector<float> bank = mel_filterbank(mels);
    std::vector<Filter> filters(static_cast<std::size_t>(mels));
    for (std::size_t mel = 0; mel < filters.size(); ++mel) {
        const auto row = std::span(bank).subspan(mel * fourier_bins, fourier_bins);
        const auto present = [](float weight) { return weight != 0; };
        const auto first = std::ranges::find_if(row, present);
        const auto last = std::find_if(row.rbegin(), row.rend(), present).base();
        filters[mel].first_bin = first - row.begin();
        if (first != row.end()) {
            filters[mel].weights.assign(first, last);
        }
    }
    return filters;
}

std::vector<double> hann_window() {
    std::vector<double> window(fourier_samples);
    for (std::size_t n = 0; n < window.size(); ++n) {
        window[n] = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(n) / fourier_samples);
    }
    return window;
}

// The signal with 200 samples more at both ends: its mirror image, without the first and last sample
// themselves.
std::vector<float> mirrored_at_ends(std::span<const float> samples) {
    std::vector<float> result(samples.size() + 2 * mirrored);
    std::reverse_copy(samples.begin() + 1, samples.begin() + 1 + mirrored, result.begin());
    std::ranges::copy(samples, result.begin() + mirrored);
    std::reverse_copy(samples.end() - 1 - mirrored, samples.end() - 1, result.end() - mirrored);
    return result;
}

// log10 of the clamped mel power of `frames` frames, `out` [frame, mel]. `power` is [bin, frame].
void log_mel_of_block(std::span<const double> power, std::int64_t frames, const std::vector<Filter>& filters,
                      std::span<float> out) {
    constexpr double least_power = 1e-10;
    std::array<double, block_frames> sums{};
    for (std::size_t mel = 0; mel < filters.size(); ++mel) {
        sums.fill(0);
        const double* row = power.data() + filters[mel].first_bin * frames;
        for (const double weight : filters[mel].weights) {
            for (std::int64_t frame = 0; frame < frames; ++frame) {
                sums[static_cast<std::size_t>(frame)] += weight * row[frame];
            }
            row += frames;
        }
        for (std::int64_t frame = 0; frame < frames; ++frame) {
            // std::log10 would take half as long again for the whole spectrogram.
            const double clamped = std::max(sums[static_cast<std::size_t>(frame)], least_power);
            out[static_cast<std::size_t>(frame) * filters.size() + mel] =
                static_cast<float>(std::log(clamped) * std::numbers::log10e);
        }
    }
}

// max(x, largest - 8), then (x + 4) / 4, so that no two values are more than 2 apart.
void compress(std::vector<float>& values) {
    const auto scaled = [](float x) { return (x + 4) / 4; };
    const float top = scaled(*std::ranges::max_element(values));
    float bottom = top - 2;
    // fp32 may round the difference down.
    if (static_cast<double>(top) - static_cast<double>(bottom) > 2) {
        bottom = std::nextafter(bottom, top);
    }
    for (float& value : values) {
        value = std::max(scaled(value), bottom);
    }
}

}  // namespace

std::vector<float> mel_filterbank(int mels) {
    check_mels(mels);
    const double highest_mel = 15 + std::log(8.0) / log_per_mel;  // 8 kHz
    std::vector<double> points(static_cast<std::size_t>(mels) + 2);
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
        points[i] = hertz(static_cast<double>(i) * (highest_mel / (mels + 1)));
    }
    points.back() = hertz(highest_mel);
    std::vector<float> bank(static_cast<std::size_t>(mels * fourier_bins));
    for (std::size_t mel = 0; mel < static_cast<std::size_t>(mels); ++mel) {
        const double low = points[mel];
        const double centre = points[mel + 1];
        const double high = points[mel + 2];
        for (std::size_t bin = 0; bin < fourier_bins; ++bin) {
            const double frequency = static_cast<double>(bin) * datasets::sample_rate_hz / fourier_samples;
            const double triangle =
                std::min((frequency - low) / (centre - low), (high - frequency) / (high - centre));
            // Rounded here already, as in librosa: so are the bits of Whisper's asset.
            const auto height = static_cast<float>(std::max(0.0, triangle));
            bank[mel * fourier_bins + bin] =
                static_cast<float>(static_cast<double>(height) * (2 / (high - low)));
        }
    }
    return bank;
}

LogMel log_mel(std::span<const float> samples, int mels, LastFrame last_frame) {
    check_mels(mels);
    if (samples.size() <= mirrored) {
        throw std::invalid_argument("a log-mel spectrogram needs at least 201 samples");
    }
    LogMel result;
    result.mels = mels;
    result.frames = static_cast<std::int64_t>(samples.size()) / datasets::hop_samples +
                    (last_frame == LastFrame::kept ? 1 : 0);
    result.values.resize(static_cast<std::size_t>(result.frames * mels));
    const std::vector<Filter> filters = filters_of(mels);
    const std::vector<double> window = hann_window();
    const std::vector<float> signal = mirrored_at_ends(samples);
    const std::int64_t blocks = (result.frames + block_frames - 1) / block_frames;
    tbb::parallel_for(std::int64_t{0}, blocks, [&](std::int64_t block) {
        std::array<double, fourier_bins * block_frames> power;
        const std::int64_t begin = block * block_frames;
        const std::int64_t frames = std::min(block_frames, result.frames - begin);
        power_spectra(std::span(signal).subspan(static_cast<std::size_t>(begin * datasets::hop_samples)),
                      window, frames, power);
        log_mel_of_block(
            power, frames, filters,
            std::span(result.values)
                .subspan(static_cast<std::size_t>(begin * mels), static_cast<std::size_t>(frames * mels)));
    });
    compress(result.values);
    return result;
}

}  // namespace reference
