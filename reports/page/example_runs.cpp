// Writes the run records of the tests as files, for the tests of the page: example_runs FOLDER.
#include <fmt/format.h>

#include <exception>
#include <string>

#include "harness/atomic_file.hpp"
#include "harness/run_record_example.hpp"

int main(int argc, char** argv) {
    if (argc != 2) {
        fmt::print(stderr, "usage: example_runs FOLDER\n");
        return 2;
    }
    try {
        const std::string folder = argv[1];
        harness::write_atomically(folder + "/example.json", harness::to_json(harness::example_record()));
        harness::write_atomically(folder + "/example_encoder.json",
                                  harness::to_json(harness::example_encoder_record()));
        harness::write_atomically(folder + "/example_npu.json",
                                  harness::to_json(harness::example_on_npu(true)));
        harness::write_atomically(folder + "/failing.json", harness::to_json(harness::failing_run()));
    } catch (const std::exception& error) {
        fmt::print(stderr, "example_runs: {}\n", error.what());
        return 3;
    }
    return 0;
}
