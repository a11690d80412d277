// The one-line message of a file that cannot be read. Apart from the readers, for whoever links only it.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "datasets/recording.hpp"
#include "datasets/recording_schema.hpp"

namespace datasets {
namespace {

// Names in a damaged file may hold anything; a message stays one printable line.
std::string describe(const std::string& file, const std::string& object, const std::string& reason) {
    return one_line(object.empty() ? fmt::format("{}: {}", file, reason)
                                   : fmt::format("{}: {}: {}", file, object, reason));
}

}  // namespace

std::string one_line(std::string text) {
    std::ranges::replace_if(text, is_control, '?');
    return text;
}

ReadError::ReadError(std::string file_name, std::string object_name, std::string why)
    : std::runtime_error(describe(file_name, object_name, why)),
      file(std::move(file_name)),
      object(std::move(object_name)),
      reason(std::move(why)) {}

}  // namespace datasets
