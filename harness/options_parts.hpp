// Options and checks that several commands of the command line share.
#pragma once

#include <CLI/CLI.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/options.hpp"

namespace harness {

// A check by a parser that throws std::invalid_argument, whose message lists what is valid.
auto accepted_by(auto parse) {
    return [parse](const std::string& text) {
        try {
            parse(text);
            return std::string();
        } catch (const std::invalid_argument& error) {
            return std::string(error.what());
        }
    };
}

// A check that lists what is valid.
CLI::Validator one_of(const std::string& what, std::vector<std::string> valid);

// Neither NaN nor infinite, which CLI11's ranges let pass.
CLI::Validator finite_number();

void add_common(CLI::App& app, CommonOptions& common);
void add_design(CLI::App& app, std::string& design);
void add_device(CLI::App& app, std::string& device, datasets::Emulation& emulation,
                npu_impl::XrtSettings& xrt);

}  // namespace harness
