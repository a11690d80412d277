#include "npu_impl/npu_identity.hpp"

#include <nlohmann/json.hpp>

namespace npu_impl {

using nlohmann::json;

bool is_hardware_name(std::string_view name) {
    return name.starts_with("RyzenAI-npu") || name.starts_with("NPU ");
}

std::string power_mode_in(std::string_view platform_report) {
    const json report = json::parse(platform_report, nullptr, false);
    const json::json_pointer place("/platforms/0/status/power_mode");
    if (report.is_object() && report.contains(place) && report.at(place).is_string()) {
        return report.at(place).get<std::string>();
    }
    return std::string(unknown_power_mode);
}

}  // namespace npu_impl
