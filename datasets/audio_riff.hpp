// Whether a WAV file holds the bytes that its header promises. libsndfile shortens a file that was cut
// without a word, so this is asked apart.
#pragma once

#include <string>

namespace datasets {

// Walks the chunks of a RIFF or RF64 file (EBU Tech 3306) up to its samples. Why the file is not whole, in
// words; empty where it is, and for files of other kinds.
std::string riff_objection(const std::string& file);

}  // namespace datasets
