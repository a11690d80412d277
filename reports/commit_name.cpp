#include "reports/commit_name.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace reports {
namespace {

constexpr std::string_view dirty = "-dirty";
constexpr std::size_t least_digits = 7;

bool is_hash(std::string_view text) {
    return text.size() >= least_digits &&
           text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

CommitName commit_name(std::string_view build) {
    CommitName out{build, build.ends_with(dirty)};
    out.hash.remove_suffix(out.is_dirty ? dirty.size() : 0);
    if (const auto at = out.hash.rfind("-g");
        at != std::string_view::npos && is_hash(out.hash.substr(at + 2))) {
        out.hash.remove_prefix(at + 2);
    }
    return out;
}

bool is_of_commit(std::string_view build, std::string_view asked) {
    const CommitName here = commit_name(build);
    const CommitName wanted = commit_name(asked);
    if (here == wanted || here.is_dirty) {
        return here == wanted;
    }
    return build == fmt::format("{}-0-g{}", asked, here.hash) ||
           (!wanted.is_dirty && wanted.hash.size() >= least_digits && here.hash.starts_with(wanted.hash));
}

std::string short_commit(std::string_view build) {
    constexpr std::size_t digits = 12;
    const CommitName name = commit_name(build);
    return fmt::format("{}{}", name.hash.substr(0, digits), name.is_dirty ? dirty : "");
}

}  // namespace reports
