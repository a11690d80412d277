#include "datasets/bf16.hpp"

namespace datasets {

std::string_view name(Rounding rounding) {
    switch (rounding) {
        case Rounding::nearest_even:
            return "nearest_even";
        case Rounding::toward_zero:
            return "toward_zero";
        case Rounding::floor:
            return "floor";
    }
    return "unknown";
}

}  // namespace datasets
