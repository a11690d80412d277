#include "npu_impl/npu_identity.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

namespace npu_impl {

using nlohmann::json;

bool is_hardware_name(std::string_view name) {
    return name.starts_with("RyzenAI-npu") || name.starts_with("NPU ");
}

namespace {

std::string text_at(std::string_view report, const char* place) {
    const json parsed = json::parse(report, nullptr, false);
    const json::json_pointer pointer(place);
    return parsed.is_object() && parsed.contains(pointer) && parsed.at(pointer).is_string()
               ? parsed.at(pointer).get<std::string>()
               : std::string(not_told);
}

}  // namespace

std::string power_mode_in(std::string_view platform_report) {
    return text_at(platform_report, "/platforms/0/status/power_mode");
}

std::string xrt_version_in(std::string_view host_report) {
    return text_at(host_report, "/version");
}

std::string firmware_version(const std::string& root, const std::string& pci_device) {
    std::ifstream file(root + "/sys/bus/pci/devices/" + pci_device + "/fw_version");
    std::string version;
    return file >> version ? version : std::string(not_told);
}

}  // namespace npu_impl
