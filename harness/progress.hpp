// Progress on standard error with the time left, not when quiet: on a terminal a bar, elsewhere, as in the
// log of a night, a line a minute.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace harness {

class ProgressBar {
public:
    // `total` steps of about equal length. Says nothing where `visible` is false. `between_lines`: at least,
    // where there is no terminal.
    ProgressBar(std::string title, int total, bool visible,
                std::chrono::steady_clock::duration between_lines = std::chrono::minutes(1));
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    // There are `steps` more than was known.
    void extend(int steps) { total_ += steps; }

    // The next step begins.
    void step(std::string_view what);

    // Removes the bar, for other output; the next step draws it again.
    void clear() const;

private:
    enum class Form { none, bar, lines };

    std::string title_;
    int total_;
    int begun_ = 0;
    Form form_;
    std::chrono::steady_clock::duration between_lines_;
    std::chrono::steady_clock::time_point start_;
    std::chrono::steady_clock::time_point last_line_;
};

// "self-check: 12 of 48, 3 min left". `done` is at least 1.
std::string progress_line(std::string_view title, int done, int total, std::chrono::duration<double> passed);

}  // namespace harness
