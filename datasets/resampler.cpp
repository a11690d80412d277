#include "datasets/resampler.hpp"

#include <fmt/format.h>
#include <soxr.h>

#include <array>
#include <stdexcept>

#include "datasets/audio.hpp"

namespace datasets {

struct Resampler::State {
    int rate_hz = 0;
    soxr_t converter = nullptr;

    // `samples` is empty at the end of the signal, which soxr is told by a null pointer.
    void convert(std::span<const float> samples, std::vector<float>& out) {
        std::array<float, 4096> ready{};
        std::size_t begin = 0;
        std::size_t count = 0;
        do {
            std::size_t consumed = 0;
            const auto rest = samples.subspan(begin);
            const soxr_error_t error =
                soxr_process(converter, samples.empty() ? nullptr : rest.data(), rest.size(), &consumed,
                             ready.data(), ready.size(), &count);
            if (error != nullptr) {
                throw std::runtime_error(fmt::format("resampling from {} Hz failed: {}", rate_hz, error));
            }
            begin += consumed;
            out.insert(out.end(), ready.begin(), ready.begin() + static_cast<std::ptrdiff_t>(count));
        } while (begin < samples.size() || count == ready.size());
    }
};

Resampler::Resampler(int rate_hz) : state_(std::make_unique<State>()) {
    state_->rate_hz = rate_hz;
    if (rate_hz == sample_rate_hz) {
        return;
    }
    soxr_error_t error = nullptr;
    const soxr_io_spec_t format = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_VHQ, 0);
    state_->converter = soxr_create(rate_hz, sample_rate_hz, 1, &error, &format, &quality, nullptr);
    if (error != nullptr) {
        throw std::runtime_error(fmt::format("cannot resample from {} Hz: {}", rate_hz, error));
    }
}

Resampler::~Resampler() {
    if (state_->converter != nullptr) {
        soxr_delete(state_->converter);
    }
}

void Resampler::push(std::span<const float> samples, std::vector<float>& out) {
    if (state_->rate_hz == sample_rate_hz) {
        out.insert(out.end(), samples.begin(), samples.end());
    } else if (!samples.empty()) {
        state_->convert(samples, out);
    }
}

void Resampler::finish(std::vector<float>& out) {
    if (state_->rate_hz != sample_rate_hz) {
        state_->convert({}, out);
    }
}

}  // namespace datasets
