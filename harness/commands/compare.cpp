// `harness --compare`: golden and NPU path side by side over the selected layers of a recording.
#include "harness/commands/commands.hpp"
#include "harness/commands/compare_run.hpp"
#include "harness/commands/page.hpp"
#include "harness/commands/parts.hpp"
#include "harness/interrupt.hpp"
#include "harness/progress.hpp"
#include "harness/rank_team.hpp"

namespace harness {

ExitCode run(const CompareOptions& options, const std::string& invocation) {
    refuse_shared_files(
        {options.dataset, options.cpu_baseline, options.device_spec},
        {options.json, options.junit, options.html, options.timelines.trace, options.timelines.gantt});
    require_page(options.html);
    // With --shard, a process of a job does what it would do alone.
    if (!options.share && started_by_launcher()) {
        return run_in_team(options, invocation);
    }
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
    write_modelled_timelines(options, record);
    const ExitCode code = report_run(record, options.common, options.json, options.junit);
    write_page(record, options.html);
    return code;
}

}  // namespace harness
