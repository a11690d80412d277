// How a build names its commit: as `git describe --always --long --dirty --abbrev=40` does, "<hash>" or
// "v1.2-3-g<hash>", with "-dirty" where the tree was changed.
#pragma once

#include <string>
#include <string_view>

namespace reports {

// What two names of one commit share: a tag gives it another name, and no other commit.
struct CommitName {
    std::string_view hash;  // all of a name that holds none
    bool is_dirty = false;

    bool operator==(const CommitName&) const = default;
};
CommitName commit_name(std::string_view build);

// Whether a build is of the commit that somebody asks for: a hash of 7 digits or more, the name of a tag that
// it bears, or a name as builds have it. A changed tree is of no commit but by its whole hash and "-dirty".
bool is_of_commit(std::string_view build, std::string_view asked);

// Fewer digits of the hash, and still whether the tree was changed.
std::string short_commit(std::string_view build);

}  // namespace reports
