// Power spectra of Whisper's frames: a Fourier transform of 400 real samples, several frames at once.
#pragma once

#include <cstdint>
#include <span>

namespace reference {

// `power` [201, frames] receives |sum_n window[n] x[n] e^(-2 pi i k n / 400)|^2 for the frames that begin
// at samples 0, 160, 320, ... of `samples`; fp64 throughout. `window` has 400 elements, `samples` at
// least 160 (frames - 1) + 400. One vector lane is one frame, without fused multiply-adds: the bits of a
// frame depend neither on its neighbours nor on the instruction set.
void power_spectra(std::span<const float> samples, std::span<const double> window, std::int64_t frames,
                   std::span<double> power);

}  // namespace reference
