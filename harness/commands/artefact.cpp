// `harness artefact`: compiled designs for an NPU, planned, added, listed and checked.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "datasets/recording.hpp"
#include "datasets/sha256.hpp"
#include "harness/commands/commands.hpp"
#include "harness/probes.hpp"
#include "npu_impl/artefacts.hpp"
#include "npu_impl/launch_catalogue.hpp"

namespace harness {
namespace {

using npu_impl::Artefact;

// Those of a folder that may not have a list yet.
std::vector<Artefact> known_artefacts(const std::string& folder) {
    const bool listed = std::filesystem::exists(std::filesystem::path(folder) / npu_impl::artefact_list);
    return listed ? npu_impl::read_artefacts(folder) : std::vector<Artefact>{};
}

// The different programs of a layer, and of a run's probes where they are asked for.
std::vector<npu_impl::PlannedProgram> planned_programs(const npu_impl::Design& design,
                                                       const ArtefactOptions& options) {
    std::vector<npu_impl::PlannedProgram> out =
        npu_impl::planned_programs(design, {options.context, options.heads});
    if (options.probes) {
        for (const std::int64_t context : ragged_contexts) {
            for (npu_impl::PlannedProgram& one :
                 npu_impl::planned_programs(design, {context, ragged_heads})) {
                const auto known = std::ranges::find(out, one.program, &npu_impl::PlannedProgram::program);
                if (known == out.end()) {
                    out.push_back(std::move(one));
                }
            }
        }
    }
    return out;
}

ExitCode plan(const ArtefactOptions& options) {
    const std::vector<Artefact> artefacts =
        options.folder.empty() ? std::vector<Artefact>{} : npu_impl::read_artefacts(options.folder);
    const npu_impl::Design design = npu_impl::compose(options.design);
    const auto programs = planned_programs(design, options);
    std::int64_t missing = 0;
    for (const npu_impl::PlannedProgram& program : programs) {
        const auto found = std::ranges::find(artefacts, program.program, &Artefact::program);
        missing += found == artefacts.end() ? 1 : 0;
        if (!options.common.quiet) {
            fmt::print("{}  {:<14} {:<22} {:>5} launches  {}\n", program.program,
                       datasets::name(program.step.last), program.kernel, program.launches,
                       options.folder.empty()     ? ""
                       : found == artefacts.end() ? "no artefact"
                                                  : found->name);
        }
    }
    if (options.folder.empty()) {
        return ExitCode::passed;
    }
    if (!options.common.quiet) {
        fmt::print("{} of {} programs have an artefact\n", std::ssize(programs) - missing, programs.size());
    }
    return missing == 0 ? ExitCode::passed : ExitCode::could_not_run;
}

// Copies a file into the folder, where it is not yet. Throws ReadError where another file of that name is.
class KeptFile {
public:
    KeptFile(const std::string& file, const std::string& folder)
        : place_(std::filesystem::path(folder) / std::filesystem::path(file).filename()),
          sha256_(datasets::sha256_hex(npu_impl::read_file(file))),
          copied_(!std::filesystem::exists(place_)) {
        if (copied_) {
            std::filesystem::copy_file(file, place_);
        } else if (datasets::sha256_hex(npu_impl::read_file(place_.string())) != sha256_) {
            throw datasets::ReadError(place_.string(), "",
                                      "is another file of that name: rename the new one");
        }
    }
    // Takes the copy away again, unless it is to stay.
    ~KeptFile() {
        if (copied_ && !stays_) {
            std::error_code ignored;
            std::filesystem::remove(place_, ignored);
        }
    }
    KeptFile(const KeptFile&) = delete;
    KeptFile& operator=(const KeptFile&) = delete;

    [[nodiscard]] std::string name() const { return place_.filename().string(); }
    [[nodiscard]] const std::string& sha256() const { return sha256_; }
    void stay() { stays_ = true; }

private:
    std::filesystem::path place_;
    std::string sha256_;
    bool copied_;
    bool stays_ = false;
};

ExitCode add(const ArtefactOptions& options) {
    std::vector<Artefact> artefacts = known_artefacts(options.folder);
    Artefact made = options.made;
    std::filesystem::create_directories(options.folder);
    KeptFile xclbin(options.xclbin, options.folder);
    KeptFile instructions(options.instructions, options.folder);
    made.xclbin = xclbin.name();
    made.xclbin_sha256 = xclbin.sha256();
    made.instructions = instructions.name();
    made.instructions_sha256 = instructions.sha256();
    (void)npu_impl::load_artefact(options.folder, made);
    std::erase_if(artefacts, [&](const Artefact& other) { return other.name == made.name; });
    artefacts.push_back(made);
    npu_impl::check_artefacts(options.folder, artefacts);
    npu_impl::write_artefacts(options.folder, artefacts);
    xclbin.stay();
    instructions.stay();
    if (!options.common.quiet) {
        fmt::print("{}: added to {}{}\n", made.name, options.folder,
                   made.program.empty() ? "; without --program it serves no launch" : "");
    }
    return ExitCode::passed;
}

void show(const Artefact& artefact) {
    fmt::print("{}\n", artefact.name);
    fmt::print("  kernel       {} of {} (SHA-256 {}), instructions {}\n", artefact.kernel, artefact.xclbin,
               artefact.xclbin_sha256.substr(0, 12), artefact.instructions);
    fmt::print("  computes     {}, {} to {} by {}, {} cores\n", artefact.tile, artefact.operand,
               artefact.store, artefact.rounding, artefact.cores);
    fmt::print("  arguments    opcode {}, instructions {}, words {}, buffers {}\n", artefact.arguments.opcode,
               artefact.arguments.instructions, artefact.arguments.instruction_words,
               fmt::join(artefact.arguments.buffers, ","));
    fmt::print("  serves       {}\n", artefact.program.empty() ? "no launch" : artefact.program);
    for (const std::string& limit : artefact.limits) {
        fmt::print("  limit        {}\n", limit);
    }
}

ExitCode list(const ArtefactOptions& options) {
    for (const Artefact& artefact : npu_impl::read_artefacts(options.folder)) {
        show(artefact);
    }
    return ExitCode::passed;
}

ExitCode check(const ArtefactOptions& options) {
    const std::vector<Artefact> artefacts = npu_impl::read_artefacts(options.folder);
    std::int64_t damaged = 0;
    for (const Artefact& artefact : artefacts) {
        try {
            (void)npu_impl::load_artefact(options.folder, artefact);
            if (!options.common.quiet) {
                fmt::print("ok       {}\n", artefact.name);
                for (const std::string& limit : artefact.limits) {
                    fmt::print("         limit: {}\n", limit);
                }
            }
        } catch (const datasets::ReadError& error) {
            ++damaged;
            fmt::print("damaged  {}: {}\n", artefact.name, error.what());
        }
    }
    if (!options.common.quiet) {
        fmt::print("{} artefacts, {} damaged\n", artefacts.size(), damaged);
    }
    return damaged == 0 ? ExitCode::passed : ExitCode::could_not_run;
}

}  // namespace

ExitCode run(const ArtefactOptions& options, const std::string&) {
    switch (options.action) {
        case ArtefactOptions::Action::plan:
            return plan(options);
        case ArtefactOptions::Action::add:
            return add(options);
        case ArtefactOptions::Action::list:
            return list(options);
        default:
            return check(options);
    }
}

}  // namespace harness
