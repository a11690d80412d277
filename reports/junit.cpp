#include "reports/junit.hpp"

#include <fmt/format.h>

#include <pugixml.hpp>
#include <sstream>
#include <string_view>

#include "reports/clean_text.hpp"
#include "reports/words.hpp"

namespace reports {
namespace {

using harness::Verdict;

struct Counts {
    int tests = 0;
    int failures = 0;
    int errors = 0;
    int skipped = 0;
};

// Everything that pugixml writes comes through these two: it passes on what is no XML, and ends at a NUL.
void set_attribute(pugi::xml_node node, const char* name, std::string_view value) {
    node.append_attribute(name) = one_line(value).c_str();
}

void set_text(pugi::xml_node node, std::string_view text) {
    node.text().set(clean_lines(text).c_str());
}

void add_property(pugi::xml_node properties, std::string_view name, std::string_view value) {
    pugi::xml_node property = properties.append_child("property");
    set_attribute(property, "name", name);
    set_attribute(property, "value", value);
}

void add_case(pugi::xml_node suite, Counts& counts, const std::string& classname, const std::string& name,
              const harness::Judgement& judgement, const std::string& detail) {
    pugi::xml_node node = suite.append_child("testcase");
    set_attribute(node, "classname", classname);
    set_attribute(node, "name", name);
    ++counts.tests;
    const char* element = nullptr;
    switch (judgement.verdict) {
        case Verdict::passed:
            return;
        case Verdict::failed:
        case Verdict::mistrusted:
            element = "failure";
            ++counts.failures;
            break;
        case Verdict::unstable:
        case Verdict::not_run:
            element = "error";
            ++counts.errors;
            break;
        case Verdict::accepted:
        case Verdict::covered:
            element = "skipped";
            ++counts.skipped;
            break;
    }
    pugi::xml_node outcome = node.append_child(element);
    set_attribute(outcome, "message", judgement.reason);
    if (!harness::is_good(judgement.verdict)) {
        set_attribute(outcome, "type", harness::name(judgement.verdict));
        set_text(outcome, limits_text(judgement, "") + detail);
    }
}

void add_probes(pugi::xml_node suite, Counts& counts, const std::string& classname,
                const std::vector<harness::ProbeRow>& rows) {
    for (const harness::ProbeRow& row : rows) {
        // The projections of the ragged model are probed by integers as the attention is.
        const bool projection = row.op < datasets::Op::scores || row.op == datasets::Op::output;
        add_case(suite, counts, classname,
                 projection ? fmt::format("probe {} {}", harness::name(row.probe), datasets::name(row.op))
                            : fmt::format("probe {}", harness::name(row.probe)),
                 row.judgement, row.reproduce);
    }
}

// Of the test cases of one layer, or of the encoder's end.
std::string group_name(const harness::RunRecord& record, std::string_view clip, int layer) {
    return layer < 0 ? fmt::format("{}.{}.end", record.design, clip)
                     : fmt::format("{}.{}.layer_{:02}", record.design, clip, layer);
}

}  // namespace

std::string junit_report(const harness::RunRecord& record) {
    pugi::xml_document document;
    pugi::xml_node declaration = document.append_child(pugi::node_declaration);
    declaration.append_attribute("version") = "1.0";
    declaration.append_attribute("encoding") = "UTF-8";
    pugi::xml_node suite = document.append_child("testsuites").append_child("testsuite");
    pugi::xml_node properties = suite.append_child("properties");
    add_property(properties, "design", record.design);
    add_property(properties, "device", record.device);
    add_property(properties, "emulation", record.emulation);
    if (const std::string part = part_of_run(record); !part.empty()) {
        add_property(properties, "part", part);
    }
    Counts counts;
    for (const harness::OpRow& row : record.rows) {
        add_case(suite, counts, group_name(record, row.clip, row.layer),
                 fmt::format("{} {}", datasets::name(row.op), harness::name(row.input)), row.judgement,
                 damage_text(row, "") + row.reproduce);
    }
    for (const harness::LayerRow& layer : record.layers) {
        if (layer.headline.verdict != Verdict::not_run) {
            add_case(suite, counts, group_name(record, layer.clip, layer.layer),
                     "match of the attention output", layer.headline,
                     (layer.diagnosis ? diagnosis_text(*layer.diagnosis, "") : "") + layer.reproduce);
        }
        if (!layer.untimed.empty()) {
            add_case(suite, counts, group_name(record, layer.clip, layer.layer), "timing",
                     {Verdict::not_run, layer.untimed, {}}, "");
        }
        add_probes(suite, counts, group_name(record, layer.clip, layer.layer), layer.probes);
        if (layer.differing_elements > 0) {
            add_case(suite, counts, group_name(record, layer.clip, layer.layer), "repeatability",
                     {Verdict::unstable, fmt::format("{} of {} elements in blocks that differ after A, B, A",
                                                     layer.differing_elements, layer.repeated_elements)},
                     "");
        }
    }
    for (const harness::ProbeRow& row : record.ragged_probes) {
        add_probes(suite, counts, fmt::format("{}.ragged.T_{}", record.design, row.shape.context), {row});
    }
    for (const harness::TrustRow& row : record.trust) {
        add_case(suite, counts, fmt::format("{}.data", record.design),
                 fmt::format("can reveal {}", harness::name(row.fault)), row.judgement, "");
    }
    set_attribute(suite, "name", record.candidate ? "harness judge" : "harness compare");
    set_attribute(suite, "timestamp", record.created_utc);
    suite.append_attribute("tests") = counts.tests;
    suite.append_attribute("failures") = counts.failures;
    suite.append_attribute("errors") = counts.errors;
    suite.append_attribute("skipped") = counts.skipped;
    std::ostringstream out;
    document.save(out, "  ");
    return out.str();
}

}  // namespace reports
