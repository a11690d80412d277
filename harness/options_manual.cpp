#include "harness/options_manual.hpp"

#include <fmt/format.h>

#include <sstream>

#include "harness/built_from.hpp"

namespace harness {
namespace {

// Text as roff prints it: its own characters escaped, nothing that it would take for a request.
std::string plain(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else {
            out += c;
        }
    }
    return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

// Lines as they are; those that are indented, as examples are, without filling.
std::string paragraphs(const std::string& text) {
    std::istringstream lines(text);
    std::string out;
    bool example = false;
    for (std::string line; std::getline(lines, line);) {
        const bool indented = line.starts_with("  ");
        if (indented != example) {
            const bool begun = out.empty() || out.ends_with(".PP\n");
            out += indented ? (begun ? ".nf\n" : ".PP\n.nf\n") : ".fi\n";
            example = indented;
        }
        if (!line.empty()) {
            out += plain(line) + "\n";
        } else if (!out.empty() && !out.ends_with(".PP\n")) {
            out += ".PP\n";
        }
    }
    return out + (example ? ".fi\n" : "");
}

bool has_value(const CLI::Option& option) {
    return !option.get_type_name().empty() && option.get_items_expected_max() > 0;
}

// Whether its type names every value that it takes: too much for a heading.
bool lists_values(const CLI::Option& option) {
    constexpr std::size_t heading_length = 40;
    return has_value(option) && option.get_type_name().size() > heading_length;
}

// "\fB--layer\fR \fILIST\fR"
std::string heading(const CLI::Option& option) {
    const bool positional = option.get_positional();
    std::string name = option.get_name(positional, !positional);
    return fmt::format("\\fB{}\\fR{}", plain(name),
                       has_value(option) && !lists_values(option)
                           ? fmt::format(" \\fI{}\\fR", plain(option.get_type_name()))
                           : "");
}

std::string options_of(const CLI::App& app) {
    std::string out;
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_group().empty()) {
            continue;
        }
        out += fmt::format(".TP\n{}\n{}", heading(*option), plain(option->get_description()));
        out += option->get_default_str().empty()
                   ? ""
                   : fmt::format(" (default: {})", plain(option->get_default_str()));
        out += option->get_required() ? " (required)" : "";
        out += lists_values(*option) ? fmt::format("\n.br\n{}\n", plain(option->get_type_name())) : "\n";
    }
    return out;
}

std::string sentence(const std::string& text) {
    return text.ends_with('?') ? text : text + ".";
}

std::string command(const CLI::App& app, const std::string& before) {
    const std::string name = before + app.get_name();
    std::string out = fmt::format(".SS {}\n{}", plain(name), paragraphs(sentence(app.get_description())));
    if (!app.get_footer().empty()) {
        out += ".PP\n" + paragraphs(app.get_footer());
    }
    out += options_of(app);
    for (const CLI::App* inner : app.get_subcommands([](const CLI::App*) { return true; })) {
        out += command(*inner, name + " ");
    }
    return out;
}

}  // namespace

std::string manual_page(const CLI::App& app) {
    std::string out = fmt::format(
        ".TH HARNESS 1 \"\" \"harness {}\" \"User Commands\"\n"
        ".SH NAME\nharness \\- judge and time Whisper's attention on an NPU against a golden CPU path\n"
        ".SH SYNOPSIS\n"
        ".B harness\n\\fB\\-\\-compare\\fR [\\fIOPTIONS\\fR]\n.br\n"
        ".B harness\n\\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n",
        build_version);
    out += ".SH DESCRIPTION\n" + paragraphs(app.get_description());
    out += ".SH OPTIONS\n" + options_of(app);
    out += ".SH COMMANDS\n";
    for (const CLI::App* inner : app.get_subcommands([](const CLI::App*) { return true; })) {
        out += command(*inner, "");
    }
    out += ".SH EXIT STATUS\n" + paragraphs(app.get_footer());
    return out +
           ".SH ENVIRONMENT\n.TP\n.B XDG_CACHE_HOME\nholds default recordings (default: ~/.cache)\n"
           ".TP\n.B XDG_DATA_HOME\nholds the history (default: ~/.local/share)\n"
           ".SH FILES\n.TP\n.I ~/.cache/npu\\-attention\\-harness/*.h5\ndefault recordings, made anew where "
           "they are gone\n"
           ".TP\n.I ~/.local/share/npu\\-attention\\-harness/history.sqlite\n"
           "the history of runs, unless \\fB\\-\\-history\\fR names another\n";
}

}  // namespace harness
