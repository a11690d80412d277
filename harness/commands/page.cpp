#include "harness/commands/page.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "reports/html.hpp"

#include "harness/atomic_file.hpp"

namespace harness {

void require_page(const std::string& html) {
    if (!html.empty() && !reports::missing_page().empty()) {
        throw std::runtime_error(fmt::format("--html {}: {}", html, reports::missing_page()));
    }
}

void write_page(const RunRecord& record, const std::string& html) {
    if (!html.empty()) {
        write_atomically(html, reports::html_report(to_json(record), {}));
    }
}

}  // namespace harness
