#include "npu_impl/device_spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace npu_impl {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string hawk_point() {
    return std::string(embedded_device_specs().front().text);
}

// `text` with the first `from` behind "clock" turned into `to`.
std::string with(const std::string& from, const std::string& to) {
    std::string text = hawk_point();
    const std::size_t at = text.find(from, text.find("\"clock\""));
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

std::string refusal(const std::string& text) {
    try {
        parse_device_spec(text, "mine.json");
    } catch (const DeviceSpecError& error) {
        return error.what();
    }
    return "";
}

TEST(DeviceSpec, EveryBuiltInNumberHasAUnitAndASource) {
    ASSERT_EQ(device_specs().size(), 5);
    EXPECT_EQ(device_specs().front().name, "hawk_point") << "the laptop of the note is the default";
    for (const DeviceSpec& spec : device_specs()) {
        EXPECT_EQ(spec.sources.size(), 28 + spec.kernels.size()) << spec.name;
        for (const SourcedNumber& number : spec.sources) {
            EXPECT_FALSE(number.unit.empty()) << spec.name << " " << number.field;
            EXPECT_GT(number.source.size(), 5) << spec.name << " " << number.field;
        }
        for (const KernelRate& rate : spec.kernels) {
            EXPECT_LE(rate.mac_per_cycle, spec.peak_mac_per_cycle) << spec.name << " " << rate.kernel;
        }
    }
}

TEST(DeviceSpec, KnowsTheClocksAndArraysOfBothGenerations) {
    const auto clock = [](std::string_view name) { return find_device_spec(name)->clock_hz; };
    EXPECT_EQ(clock("7940HS"), 1.0e9);
    EXPECT_EQ(clock("8945hs"), 1.6e9);
    EXPECT_EQ(clock("8700G"), 1.8e9);
    EXPECT_EQ(clock("HX370"), 1.8e9);
    EXPECT_EQ(find_device_spec("phoenix")->cores(), 16);
    EXPECT_EQ(find_device_spec("krackan")->cores(), 32);
    EXPECT_EQ(find_device_spec("none"), nullptr);
    EXPECT_DOUBLE_EQ(find_device_spec("8700g")->stream_bytes_per_second(), 7.2e9);
    EXPECT_THROW(static_cast<void>(device_specs().front().rate_of("none")), std::invalid_argument);
}

TEST(DeviceSpec, NamesLineAndFieldOfWhatItRefuses) {
    EXPECT_EQ(refusal(hawk_point()), "");
    const std::string line = "mine.json:8: field 'clock' ";
    EXPECT_EQ(refusal(with("1.6", "-1.6")), line + "is -1.6; it must be greater than 0");
    EXPECT_EQ(refusal(with("1.6", "0")), line + "is 0; it must be greater than 0");
    EXPECT_EQ(refusal(with("1.6", "1e999")), line + "must be finite");
    EXPECT_EQ(refusal(with("1.6", "1e308")), line + "must be finite");
    EXPECT_EQ(refusal(with("1.6", "NaN")), line + "is not followed by valid JSON");
    EXPECT_EQ(refusal(with("1.6", "\"fast\"")),
              line + "must be an object of value (a number), unit and source");
    EXPECT_EQ(refusal(with("\"unit\": \"GHz\", ", "")), line + "has no unit; valid: Hz, MHz, GHz");
    EXPECT_EQ(refusal(with("GHz", "GB/s")), line + "has unit 'GB/s'; valid: Hz, MHz, GHz");
    EXPECT_EQ(refusal(with("\"source\"", "\"sauce\"")), line + "has no source");
    EXPECT_THAT(refusal(with("\"clock\"", "\"clok\"")),
                StartsWith("mine.json:8: field 'clok' is unknown; valid: clock"));
    EXPECT_THAT(refusal(with("\"columns\"", "\"call\"")), HasSubstr("field 'columns' is missing"));
    EXPECT_THAT(refusal(with("\"value\": 4,", "\"value\": 4.5,")),
                HasSubstr("field 'columns' is 4.5; it must be a whole number"));
    EXPECT_THAT(refusal(with("\"value\": 64, \"unit\": \"MAC", "\"value\": 129, \"unit\": \"MAC")),
                HasSubstr("field 'rate' of peano is 129, above peak_rate 128"));
    EXPECT_THAT(refusal(with("\"value\": 4, ", "\"value\": 3, ")),
                HasSubstr("x gemm_across is 16, not the 12 cores"));
    EXPECT_THAT(refusal(with("\"value\": 48, \"unit\": \"cycles\"", "\"value\": -48, \"unit\": \"cycles\"")),
                HasSubstr("field 'block' is -48; it must not be negative"));
    EXPECT_THAT(refusal("[1, 2]"), HasSubstr("field 'schema' is missing"));
    EXPECT_THAT(refusal(""), StartsWith("mine.json:1: "));
}

// Costs may be nothing; rates and sizes may not.
TEST(DeviceSpec, ACostMayBeZero) {
    EXPECT_EQ(refusal(with("\"value\": 127.5", "\"value\": 0")), "");
    EXPECT_THAT(refusal(with("\"value\": 127.5", "\"value\": -1")),
                HasSubstr("field 'call' is -1; it must not be negative"));
}

TEST(DeviceSpec, AFileMayNameWhatItChangesOfABuiltInDevice) {
    const std::string text = R"({"schema": "npu-device-spec", "schema_version": 1, "name": "mine",
        "product": "my laptop", "base": "phoenix",
        "fields": {"call": {"value": 90, "unit": "us", "source": "measured here"}},
        "kernels": [{"kernel": "own",
                     "rate": {"value": 100, "unit": "MAC/cycle", "source": "measured here"}}]})";
    const DeviceSpec spec = parse_device_spec(text, "mine.json");
    EXPECT_DOUBLE_EQ(spec.call_seconds, 90e-6);
    EXPECT_EQ(spec.clock_hz, find_device_spec("phoenix")->clock_hz);
    EXPECT_EQ(spec.rate_of("own").mac_per_cycle, 100);
    EXPECT_EQ(spec.rate_of("peano").mac_per_cycle, 64);
    EXPECT_EQ(spec.sources.size(), find_device_spec("phoenix")->sources.size() + 1);
    try {
        device_spec("/no/such/file.json");
        FAIL();
    } catch (const DeviceSpecError& error) {
        EXPECT_THAT(error.what(), HasSubstr("valid: hawk_point, phoenix, 8700g, strix, krackan"));
    }
}

}  // namespace
}  // namespace npu_impl
