#include "harness/encoder_record.hpp"

#include <fmt/format.h>

#include <utility>

namespace harness {

RealTime real_time(Duration processing, double audio_seconds) {
    RealTime out;
    out.rtf = audio_seconds > 0 ? processing.seconds / audio_seconds : 0.0;
    out.rtfx = processing.seconds > 0 ? audio_seconds / processing.seconds : 0.0;
    out.processing = std::move(processing);
    return out;
}

std::string name(Stage stage) {
    switch (stage.piece) {
        case Piece::stem:
            return "stem";
        case Piece::layer:
            return fmt::format("layer {}", stage.layer);
        case Piece::end:
            break;
    }
    return "end";
}

}  // namespace harness
