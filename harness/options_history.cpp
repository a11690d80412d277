#include "harness/options_history.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "harness/options_parts.hpp"

namespace harness {
namespace {

// A day of the calendar, as CLI11 checks it: empty where it is one, else what is wrong.
std::string day_error(const std::string& text) {
    constexpr std::string_view form = "dddd-dd-dd";
    const auto fits = [](char c, char wanted) {
        return wanted == 'd' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == wanted;
    };
    if (!std::ranges::equal(text, form, fits)) {
        return text + " is no day: write YYYY-MM-DD";
    }
    using std::chrono::day, std::chrono::month, std::chrono::year;
    const auto number = [&](std::size_t at, std::size_t digits) {
        return std::stoi(text.substr(at, digits));
    };
    const std::chrono::year_month_day date{year{number(0, 4)}, month(unsigned(number(5, 2))),
                                           day(unsigned(number(8, 2)))};
    return date.ok() ? std::string() : text + " is in no calendar";
}

}  // namespace

struct HistoryCommands::State {
    explicit State(CommonOptions& shared) : common(shared) {}

    CommonOptions& common;
    HistoryOptions history;
    RegressOptions regress;
    std::pair<std::string, std::string> builds;  // no list, which would swallow a -- behind it
    CLI::App* history_app = nullptr;
    CLI::App* add = nullptr;
    CLI::App* list = nullptr;
    CLI::App* show = nullptr;
    CLI::App* write_out = nullptr;
    CLI::App* prune = nullptr;
    CLI::App* regress_app = nullptr;

    CLI::App* add_action(const char* name, const char* what) {
        CLI::App* action = history_app->add_subcommand(name, what);
        action
            ->add_option("--history", history.file,
                         "The history (default: npu-attention-harness/history.sqlite in $XDG_DATA_HOME or "
                         "~/.local/share)")
            ->type_name("FILE");
        add_common(*action, common);
        return action;
    }

    void add_history(CLI::App& app) {
        history_app = app.add_subcommand("history", "Keep runs over nights, and show how their figures move");
        history_app->require_subcommand(1);
        history_app->footer(
            "One SQLite file; several processes may add at once, and a run is added whole or not at all.\n"
            "Exit codes: 0 done (also where the run was there already), 2 usage, 3 could not.");
        add = add_action("add", "Add runs that --json wrote");
        add->add_option("run", history.runs, "run.json")->required()->type_name("RUN.json");
        list = add_action("list", "Show the latest runs");
        list->add_option("--most", history.most, "Runs shown; 0: all")
            ->check(CLI::Range(0, 1'000'000))
            ->type_name("N")
            ->capture_default_str();
        show = add_action("show", "Show one row over the nights, per environment: e.g. scores, attention");
        show->add_option("row", history.row,
                         "An op, a fused range (scores..context), attention, headline, ...")
            ->required()
            ->type_name("ROW");
        show->add_option("--part", history.part, "Only this part: 'layer 3', stem, end")->type_name("PART");
        show->add_option("--nights", history.nights, "Days with runs, back from the latest")
            ->check(CLI::Range(1, 100'000))
            ->type_name("N")
            ->capture_default_str();
        write_out = add_action("export", "Write every figure of every run");
        write_out->add_option("--csv", history.csv, "As lines of comma-separated values")->type_name("FILE");
        write_out->add_option("--json", history.json, "As one JSON document")->type_name("FILE");
        prune = add_action("prune", "Remove old runs");
        prune
            ->add_option("--older-than", history.older_than_days,
                         "Those created more than this many days ago")
            ->check(CLI::Range(0, 100'000))
            ->type_name("DAYS");
        prune->add_option("--keep", history.keep, "All but the latest N")
            ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000}))
            ->type_name("N");
    }

    void add_regress(CLI::App& app) {
        regress_app = app.add_subcommand("regress", "Is anything slower or less accurate than before?");
        regress_app->footer(
            "  harness regress RUN.json                              against green nights of the history\n"
            "  harness regress RUN.json AGAIN.json THIRD.json --baseline A.json --baseline B.json\n"
            "  harness regress --ab old/harness new/harness -- --compare --context 250 --layer 0\n"
            "Runs are compared only where CPU, BLAS, compiler, device, design, recording, ... are the same.\n"
            "Measured times are slower only beyond max(5%, 2 x what runs of one build differ by), "
            "significant\n"
            "over all rows, and in three or more runs: name several runs of the same build, or use --ab.\n"
            "What creeps up night by night shows beside the first nights of a season (--season). It stays "
            "slower\n"
            "while the season reaches back to before it; --since DAY accepts it, and all else that is slower "
            "then.\n"
            "Exit codes: 0 no regression, 1 a verdict is lost, 2 usage, 3 could not compare, 4 slower.");
        regress_app
            ->add_option("run", regress.runs, "run.json files of one build; with --ab: what it is run with")
            ->type_name("RUN.json");
        regress_app
            ->add_option("--baseline", regress.baseline, "run.json to hold them against; may be repeated")
            ->type_name("RUN.json")
            ->expected(1)
            ->allow_extra_args(false)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        regress_app
            ->add_option("--history", regress.history,
                         "The history to hold them against (default: npu-attention-harness/"
                         "history.sqlite in $XDG_DATA_HOME or ~/.local/share)")
            ->type_name("FILE");
        regress_app->add_option("--nights", regress.nights, "Days with passed runs, back from the run")
            ->check(CLI::Range(1, 100'000))
            ->type_name("K")
            ->capture_default_str();
        CLI::Option* season =
            regress_app
                ->add_option("--season", regress.season,
                             "Green nights over which slow creep is looked for, the last K beside the first "
                             "K; 0: not (default: 90, or 2 K)")
                ->check(CLI::Range(0, 100'000))
                ->type_name("N");
        regress_app
            ->add_option("--since", regress.since,
                         "The season begins on this day (UTC) instead: the one on which a slower build was "
                         "accepted")
            ->check(day_error)
            ->type_name("YYYY-MM-DD")
            ->excludes(season);
        regress_app->add_option("--commit", regress.commit, "Hold against this commit's runs in the history")
            ->type_name("COMMIT");
        regress_app->add_option("--ab", builds, "Two builds of the harness, run in turn: A B B A ...")
            ->type_name("BUILD_A BUILD_B")
            ->expected(1);
        regress_app
            ->add_option("--rounds", regress.rounds, "Rounds A B B A; twice as many where B looks slower")
            ->check(CLI::Range(2, 1000))
            ->type_name("N")
            ->capture_default_str();
        regress_app
            ->add_option("--until-clear", regress.until_clear,
                         "Of --ab: for up to so many seconds more rounds, while noise hides a change of 10%")
            ->check(CLI::Range(0, 86'400))
            ->type_name("SECONDS")
            ->capture_default_str();
        regress_app->add_option("--markdown", regress.markdown, "Write the result for a pull request")
            ->type_name("FILE");
        add_common(*regress_app, common);
    }

    [[nodiscard]] HistoryOptions finished_history() const {
        using Action = HistoryOptions::Action;
        HistoryOptions options = history;
        options.common = common;
        options.action = add->parsed()         ? Action::add
                         : show->parsed()      ? Action::show
                         : write_out->parsed() ? Action::write_out
                         : prune->parsed()     ? Action::prune
                                               : Action::list;
        if (options.action == Action::write_out && options.csv.empty() && options.json.empty()) {
            throw UsageError("history export: name a file with --csv or --json");
        }
        if (options.action == Action::prune &&
            options.older_than_days.has_value() == options.keep.has_value()) {
            throw UsageError("history prune: give either --older-than DAYS or --keep N");
        }
        return options;
    }

    [[nodiscard]] RegressOptions finished_regress() const {
        RegressOptions options = regress;
        options.common = common;
        if (regress_app->count("--ab") > 0) {
            options.builds = {builds.first, builds.second};
        }
        const bool from_history = regress_app->count("--history") + regress_app->count("--nights") +
                                      regress_app->count("--commit") + regress_app->count("--season") +
                                      regress_app->count("--since") >
                                  0;
        if (!options.builds.empty()) {
            if (from_history || !options.baseline.empty()) {
                throw UsageError(
                    "--ab brings its own baseline: leave out --baseline, --history, --nights, --season, "
                    "--since, --commit");
            }
            const auto is_output = [](const std::string& word) {
                return word.starts_with("--json") || word.starts_with("--junit");
            };
            if (std::ranges::any_of(options.runs, is_output)) {
                throw UsageError(
                    "--ab writes run records of its own: leave out --json and --junit behind --");
            }
            return options;
        }
        if (options.runs.empty()) {
            throw UsageError("regress: name a RUN.json, or two builds with --ab");
        }
        if (from_history && !options.baseline.empty()) {
            throw UsageError(
                "--baseline and --history, --nights, --season, --since or --commit exclude each other");
        }
        const bool of_nights =
            regress_app->count("--nights") + regress_app->count("--season") + regress_app->count("--since") >
            0;
        if (!options.commit.empty() && of_nights) {
            throw UsageError("--nights, --season and --since belong to nights: leave out --commit");
        }
        if (options.season.value_or(0) > 0 && *options.season < 2 * options.nights) {
            throw UsageError(fmt::format("--season {}: it takes {} at least, twice --nights", *options.season,
                                         2 * options.nights));
        }
        for (const char* option : {"--rounds", "--until-clear"}) {
            if (regress_app->count(option) > 0) {
                throw UsageError(fmt::format("{} belongs to --ab", option));
            }
        }
        return options;
    }
};

HistoryCommands::HistoryCommands(CLI::App& app, CommonOptions& common)
    : state_(std::make_unique<State>(common)) {
    state_->add_history(app);
    state_->add_regress(app);
}

HistoryCommands::~HistoryCommands() = default;

std::optional<Command> HistoryCommands::finish() const {
    if (state_->history_app->parsed()) {
        return state_->finished_history();
    }
    if (state_->regress_app->parsed()) {
        return state_->finished_regress();
    }
    return std::nullopt;
}

}  // namespace harness
