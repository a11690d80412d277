// A calibration as a proposal: JSON that a person reads before changing gate.cpp. Nothing reads it back.
#pragma once

#include <string>
#include <vector>

#include "harness/calibration.hpp"

namespace harness {

struct CalibratedRecording {
    std::string file;
    std::string sha256;
    std::string model_id;
    std::int64_t context = 0;
    CalibrationPart part{};
    bool from_checkpoint = false;
};

// What was measured, and with what.
struct CalibrationScope {
    std::string command;
    std::string created_utc;
    std::string commit;
    std::string device;
    std::string emulation;
    std::vector<CalibratedRecording> recordings;
    std::vector<std::string> designs;

    // Why the limits that were measured stay provisional: "synthetic" where a recording comes from no
    // checkpoint, "no held-out recordings" where none was; else empty.
    [[nodiscard]] std::string provisional() const;
};

// Schema "npu-attention-calibration".
std::string to_json(const Calibration& calibration, const CalibrationScope& scope);

}  // namespace harness
