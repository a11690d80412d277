// `harness --compare`: golden and NPU path side by side over the selected layers of a recording.
#include <fmt/format.h>

#include "harness/commands/commands.hpp"
#include "harness/commands/compare_run.hpp"
#include "harness/commands/page.hpp"
#include "harness/commands/parts.hpp"
#include "harness/interrupt.hpp"
#include "harness/progress.hpp"
#include "harness/rank_team.hpp"

namespace harness {

ExitCode run(const CompareOptions& options, const std::string& invocation) {
    refuse_shared_files({options.dataset, options.cpu_baseline, options.accepted_misses, options.device_spec},
                        outputs_of(options));
    require_page(options.html);
    const int processes = launched_processes();
    if (options.share && processes > 1) {
        throw UsageError(
            fmt::format("--shard: one of {} processes of a job, which deals the parts out itself: "
                        "leave it out, or start every shard alone",
                        processes));
    }
    if (!options.share && started_by_launcher()) {
        return run_in_team(options, invocation);
    }
    if (processes > 1) {
        throw UsageError(alone_in_a_job());
    }
    require_writable(outputs_of(options));
    CompareRun compare(options, invocation);
    const ShardNote note = compare.note(options.share);
    RunRecord record;
    {
        ProgressBar bar("comparing", compare.stages(note), !options.common.quiet);
        record = compare.run(note, [&bar](std::string_view stage) {
            throw_if_interrupted();
            bar.step(stage);
        });
    }
    if (options.share) {
        record.shard = note;
    }
    return report_comparison(record, options);
}

}  // namespace harness
