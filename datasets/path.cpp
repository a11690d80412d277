#include "datasets/path.hpp"

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
        case Clock::modelled:
            return "modelled";
    }
    return "unknown";
}

}  // namespace datasets
