#include "datasets/path.hpp"

#include <stdexcept>
#include <string>

namespace datasets {

std::string_view name(Clock clock) {
    switch (clock) {
        case Clock::none:
            return "none";
        case Clock::host_wall:
            return "host_wall";
        case Clock::host_share:
            return "host_share";
        case Clock::device_wall:
            return "host_wall (device launch)";
        case Clock::emulation_wall:
            return "host_wall (emulated launch)";
        case Clock::modelled:
            return "modelled";
    }
    return "unknown";
}

std::unique_ptr<PreparedLayer> Path::prepare(const StemCase&) {
    throw std::invalid_argument("path " + std::string(name()) + " does not have the stem");
}

std::unique_ptr<PreparedLayer> Path::prepare(const EndCase&) {
    throw std::invalid_argument("path " + std::string(name()) + " does not have the end of the encoder");
}

}  // namespace datasets
