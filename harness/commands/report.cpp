// `harness report`: a run that was written before, as a page.
#include <fmt/format.h>

#include "harness/commands/commands.hpp"
#include "harness/commands/page.hpp"
#include "harness/commands/parts.hpp"
#include "harness/run_record_read.hpp"
#include "reports/html.hpp"

namespace harness {

ExitCode run(const ReportOptions& options, const std::string&) {
    refuse_shared_files({options.run}, {options.html});
    require_page(options.html);
    const std::string text = read_run_text(options.run);
    const RunRecord record = parse_run_record(text, options.run);
    // The text as it was written, not as this program would write it: nothing it holds is lost.
    write_atomically(options.html, reports::html_report(text, {}));
    if (!options.common.quiet) {
        fmt::print("{}: {}, exit code {}\n", options.html, name(record.verdict), record.exit_code);
    }
    return ExitCode::passed;
}

}  // namespace harness
