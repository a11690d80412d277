// What this program was built from and with. No constants of a header, or every commit would compile what
// includes it.
#pragma once

namespace harness {

extern const char* const build_version;
extern const char* const build_commit;  // as `git describe` names it
extern const char* const build_compiler;
extern const char* const build_flags;
extern const char* const build_type;

}  // namespace harness
