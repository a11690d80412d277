#include "harness/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace harness {
namespace {

using std::chrono::steady_clock;

double seconds_left(int done, int total, std::chrono::duration<double> passed) {
    return passed.count() / done * (total - done);
}

}  // namespace

std::string progress_line(std::string_view title, int done, int total, std::chrono::duration<double> passed) {
    return fmt::format("{}: {} of {}, {:.0f} min left", title, done, total,
                       std::ceil(seconds_left(done, total, passed) / 60));
}

ProgressBar::ProgressBar(std::string title, int total, bool visible, steady_clock::duration between_lines)
    : title_(std::move(title)),
      total_(std::max(total, 1)),
      form_(!visible                     ? Form::none
            : isatty(STDERR_FILENO) == 1 ? Form::bar
                                         : Form::lines),
      between_lines_(between_lines),
      start_(steady_clock::now()),
      last_line_(start_) {}

ProgressBar::~ProgressBar() {
    clear();
}

void ProgressBar::clear() const {
    if (form_ == Form::bar) {
        fmt::print(stderr, "\r\033[K");
        std::fflush(stderr);
    }
}

void ProgressBar::step(std::string_view what) {
    const int done = std::min(begun_, total_);
    ++begun_;
    const auto now = steady_clock::now();
    if (form_ == Form::lines && done > 0 && now - last_line_ >= between_lines_) {
        last_line_ = now;
        fmt::print(stderr, "{}\n", progress_line(title_, done, total_, now - start_));
    }
    if (form_ != Form::bar) {
        return;
    }
    constexpr int width = 24;
    const int filled = width * done / total_;
    const std::string left =
        done == 0 ? "" : fmt::format(", {:.0f} s left", seconds_left(done, total_, now - start_));
    fmt::print(stderr, "\r\033[K{} [{:#<{}}{:.<{}}] {}{}", title_, "", filled, "", width - filled, what,
               left);
    std::fflush(stderr);
}

}  // namespace harness
