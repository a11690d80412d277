#include "harness/shard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace harness {
namespace {

bool holds(const ShardNote& note, int shard) {
    return std::ranges::binary_search(note.shards, shard);
}

}  // namespace

Share parse_share(std::string_view text) {
    const auto slash = text.find('/');
    const auto number = [](std::string_view digits, int& value) {
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return error == std::errc() && end == digits.data() + digits.size() && !digits.empty();
    };
    Share share;
    const bool numbers = slash != std::string_view::npos && number(text.substr(0, slash), share.index) &&
                         number(text.substr(slash + 1), share.of);
    if (!numbers || share.of < 1 || share.of > most_shards || share.index < 1 || share.index > share.of) {
        throw std::invalid_argument(
            fmt::format("'{}': valid: I/N, the I-th of N shards, 1 <= I <= N <= {}", text, most_shards));
    }
    return share;
}

std::vector<RunCase> cases_of(const ShardNote& note) {
    std::vector<RunCase> cases;
    for (const ShardClip& clip : note.clips) {
        for (const int layer : note.layers) {
            cases.push_back({clip.clip, layer});
        }
        if (note.end) {
            cases.push_back({clip.clip, end_layer});
        }
    }
    return cases;
}

std::vector<int> dealt(const ShardNote& note) {
    const std::vector<RunCase> cases = cases_of(note);
    std::vector<int> shards(cases.size());
    int next = 0;
    for (const bool ends : {false, true}) {
        for (std::size_t i = 0; i < cases.size(); ++i) {
            if ((cases[i].layer == end_layer) == ends) {
                shards[i] = next + 1;
                next = (next + 1) % note.of;
            }
        }
    }
    return shards;
}

std::vector<RunCase> own_cases(const ShardNote& note) {
    const std::vector<RunCase> cases = cases_of(note);
    const std::vector<int> shards = dealt(note);
    std::vector<RunCase> own;
    for (std::size_t i = 0; i < cases.size(); ++i) {
        if (holds(note, shards[i])) {
            own.push_back(cases[i]);
        }
    }
    return own;
}

bool owns_design_probes(const ShardNote& note) {
    return note.design_probes && holds(note, note.of);
}

bool complete(const ShardNote& note) {
    return int(note.shards.size()) == note.of;
}

std::string shard_list(const std::vector<int>& shards) {
    std::string out;
    for (std::size_t i = 0; i < shards.size();) {
        std::size_t last = i;
        while (last + 1 < shards.size() && shards[last + 1] == shards[last] + 1) {
            ++last;
        }
        out += fmt::format("{}{}", out.empty() ? "" : ", ", shards[i]);
        out += last > i ? fmt::format("-{}", shards[last]) : "";
        i = last + 1;
    }
    return out;
}

}  // namespace harness
