// A progress bar on standard error with the time left, drawn only for people: on a terminal, and not when
// quiet.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace harness {

class ProgressBar {
public:
    // `total` steps of about equal length. Draws nothing where `visible` is false or standard error is no
    // terminal.
    ProgressBar(std::string title, int total, bool visible);
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    // The next step begins.
    void step(std::string_view what);

    // Removes the bar, for other output; the next step draws it again.
    void clear() const;

private:
    std::string title_;
    int total_;
    int begun_ = 0;
    bool visible_;
    std::chrono::steady_clock::time_point start_;
};

}  // namespace harness
