#include "harness/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace harness {

ProgressBar::ProgressBar(std::string title, int total, bool visible)
    : title_(std::move(title)),
      total_(std::max(total, 1)),
      visible_(visible && isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

ProgressBar::~ProgressBar() {
    clear();
}

void ProgressBar::clear() const {
    if (visible_) {
        fmt::print(stderr, "\r\033[K");
        std::fflush(stderr);
    }
}

void ProgressBar::step(std::string_view what) {
    const int done = std::min(begun_, total_);
    ++begun_;
    if (!visible_) {
        return;
    }
    constexpr int width = 24;
    const int filled = width * done / total_;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    const std::string left =
        done == 0 ? "" : fmt::format(", {:.0f} s left", passed.count() / done * (total_ - done));
    fmt::print(stderr, "\r\033[K{} [{:#<{}}{:.<{}}] {}{}", title_, "", filled, "", width - filled, what,
               left);
    std::fflush(stderr);
}

}  // namespace harness
