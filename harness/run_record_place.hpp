// A value of run.json and where it is, so that a reader's refusals say so.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "datasets/recording.hpp"
#include "harness/run_record_json.hpp"

namespace harness {

// Every function but `has` and `is_null` throws datasets::ReadError where the value is not what it reads.
class Place {
public:
    static constexpr double nothing = std::numeric_limits<double>::quiet_NaN();
    static constexpr double infinity = std::numeric_limits<double>::infinity();

    Place(const Json& json, const std::string& file, std::string path)
        : json_(json), file_(file), path_(std::move(path)) {}

    [[noreturn]] void refuse(const std::string& reason) const {
        throw datasets::ReadError(file_, path_.empty() ? "run record" : path_, reason);
    }

    [[nodiscard]] bool has(const char* key) const { return json_.is_object() && json_.contains(key); }
    [[nodiscard]] bool is_null() const { return json_.is_null(); }
    Place operator[](const char* key) const {
        if (!has(key)) {
            refuse(fmt::format("lacks {}; write it anew with --json", key));
        }
        return {json_.at(key), file_, path_.empty() ? key : fmt::format("{}.{}", path_, key)};
    }
    [[nodiscard]] std::vector<Place> elements() const {
        if (!json_.is_array()) {
            refuse("is no list");
        }
        std::vector<Place> out;
        for (const Json& element : json_) {
            out.emplace_back(element, file_, fmt::format("{}[{}]", path_, out.size()));
        }
        return out;
    }

    [[nodiscard]] std::string text() const {
        if (!json_.is_string()) {
            refuse("is no text");
        }
        return json_.get<std::string>();
    }
    [[nodiscard]] std::int64_t integer() const {
        if (!json_.is_number_integer()) {
            refuse("is no integer");
        }
        return json_.get<std::int64_t>();
    }
    [[nodiscard]] bool boolean() const {
        if (!json_.is_boolean()) {
            refuse("is neither true nor false");
        }
        return json_.get<bool>();
    }
    [[nodiscard]] int small() const {
        const std::int64_t value = integer();
        if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max()) {
            refuse("is out of range");
        }
        return static_cast<int>(value);
    }
    [[nodiscard]] std::uint64_t natural() const {
        if (!json_.is_number_unsigned()) {
            refuse("is no number from 0");
        }
        return json_.get<std::uint64_t>();
    }
    [[nodiscard]] double real(double null = nothing) const {
        if (!json_.is_number() && !json_.is_null()) {
            refuse("is no number");
        }
        return json_.is_null() ? null : json_.get<double>();
    }

    // Of {"value": ..., "unit": ..., "kind": ...}.
    [[nodiscard]] std::int64_t counted() const { return (*this)["value"].integer(); }
    [[nodiscard]] double measured(double null = nothing) const { return (*this)["value"].real(null); }

    // One of a list of enumerators by name.
    template <typename Enum, std::size_t Count>
    [[nodiscard]] Enum one_of(const std::array<Enum, Count>& valid) const {
        const std::string word = text();
        for (const Enum value : valid) {
            if (name(value) == word) {
                return value;
            }
        }
        refuse(fmt::format("is '{}', which this program does not know", word));
    }

private:
    const Json& json_;
    const std::string& file_;
    std::string path_;
};

}  // namespace harness
