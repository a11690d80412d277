#include "harness/commands/parts.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>

namespace harness {

std::string shell_word(const std::string& text) {
    const bool plain = std::ranges::all_of(text, [](unsigned char c) {
        return std::isalnum(c) != 0 || std::string_view("_./-+=:@%,").find(char(c)) != std::string_view::npos;
    });
    if (plain && !text.empty()) {
        return text;
    }
    std::string quoted = "'";
    for (const char c : text) {
        quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return quoted + "'";
}

void refuse_shared_files(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs) {
    const auto same = [](const std::string& a, const std::string& b) {
        std::error_code ignored;
        return !a.empty() && !b.empty() && (a == b || std::filesystem::equivalent(a, b, ignored));
    };
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        for (const std::string& input : inputs) {
            if (same(outputs[i], input)) {
                throw UsageError(
                    fmt::format("{}: would be overwritten, and is read: name another file", input));
            }
        }
        for (std::size_t other = i + 1; other < outputs.size(); ++other) {
            if (same(outputs[i], outputs[other])) {
                throw UsageError(fmt::format("{}: named for two outputs", outputs[i]));
            }
        }
    }
}

bool wants_color(Color color) {
    return color == Color::always || (color == Color::automatic && isatty(STDOUT_FILENO) == 1);
}

void describe_npu(RunRecord& record, const std::string& design, const npu_impl::Device& device,
                  const npu_impl::CostModel& model) {
    record.design = design;
    record.device = device.name();
    record.emulation = datasets::name(device.emulation());
    record.cost_model = fmt::format("modelled for {}", model.spec.name);
    record.speedup_label =
        fmt::format("projected, cross-machine: {} tasks of this host's CPU against a modelled {}",
                    record.environment.threads, model.spec.name);
}

}  // namespace harness
