#include "reports/words.hpp"

#include <fmt/color.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "reports/clean_text.hpp"

namespace reports {
namespace {

using harness::Verdict;

fmt::text_style style_of(Verdict verdict) {
    switch (verdict) {
        case Verdict::passed:
            return fg(fmt::terminal_color::green);
        case Verdict::accepted:
            return fg(fmt::terminal_color::yellow);
        case Verdict::covered:
            return {};
        default:
            return fg(fmt::terminal_color::red) | fmt::emphasis::bold;
    }
}

}  // namespace

std::string painted(Verdict verdict, int width, bool color) {
    const std::string text = fmt::format("{:<{}}", harness::name(verdict), width);
    return color ? fmt::format(style_of(verdict), "{}", text) : text;
}

std::string milliseconds(double seconds) {
    const double ms = seconds * 1e3;
    return ms >= 1000 ? fmt::format("{:.0f}", ms) : fmt::format("{:.2f}", ms);
}

std::string ratio(double value) {
    return fmt::format("{:.2f}x", value);
}

std::string error(double value) {
    return value < 10 ? fmt::format("{:.4f}", value) : fmt::format("{:.0e}", value);
}

std::string percent(double value) {
    if (!std::isfinite(value)) {
        return "-";
    }
    const double cut = std::floor(value * 1e4) / 1e4;
    return cut <= -100 ? fmt::format("{:.1e}", cut) : fmt::format("{:.4f}", cut);
}

std::string piece_name(int layer) {
    return layer < 0 ? "end" : fmt::format("layer {}", layer);
}

std::string part_of_run(const harness::RunRecord& record) {
    if (!record.shard || harness::complete(*record.shard)) {
        return {};
    }
    const std::vector<int>& shards = record.shard->shards;
    return fmt::format("{} {} of {}: not the whole", shards.size() == 1 ? "shard" : "shards",
                       harness::shard_list(shards), record.shard->of);
}

std::string kind(datasets::Clock clock) {
    switch (clock) {
        case datasets::Clock::modelled:
            return "modelled";
        case datasets::Clock::none:
            return "no clock";
        case datasets::Clock::emulation_wall:
            return "emulation";
        default:
            return "measured";
    }
}

std::string damage_text(const harness::OpRow& row, const std::string& indent) {
    std::string out;
    if (row.statistics && row.statistics->damage) {
        const harness::Damage& damage = *row.statistics->damage;
        const harness::Element& worst = damage.worst;
        const harness::Element& first = damage.first;
        // Where nothing is known to be due, the bound is that of all finite numbers.
        const bool due = worst.bound < std::numeric_limits<double>::max();
        out +=
            fmt::format("{}where: {}rows {}-{}, element ({}, {}): got {:.6g}{}\n", indent,
                        worst.head >= 0 ? fmt::format("head {}, ", worst.head) : "", damage.row_begin,
                        damage.row_end, worst.row, worst.column, worst.got,
                        due ? fmt::format(", expected {:.6g} +- {:.2g}", worst.expected, worst.bound) : "");
        out +=
            fmt::format("{}       {} of {} blocks, the first at {}({}, {})", indent, damage.blocks,
                        row.statistics->blocks_expected,
                        first.head >= 0 ? fmt::format("head {} ", first.head) : "", first.row, first.column);
        if (row.site) {
            out += "; the worst element " + site_text(*row.site);
        }
        out += "\n";
    }
    if (row.diagnosis) {
        out += diagnosis_text(*row.diagnosis, indent);
    }
    return out;
}

std::string site_text(const datasets::Site& site) {
    return fmt::format("{}made as tile {} by core {} in launch {}",
                       site.ran ? "" : "by the declared design's plan ", site.tile, site.core, site.launch);
}

std::string diagnosis_text(const harness::Diagnosis& diagnosis, const std::string& indent) {
    return fmt::format("{}why:   {}: {}; 64x64 tile ({}, {})\n", indent, harness::name(diagnosis.pattern),
                       one_line(diagnosis.evidence), diagnosis.tile_row, diagnosis.tile_column);
}

std::string limits_text(const harness::Judgement& judgement, const std::string& indent) {
    std::string out;
    for (const harness::Finding& finding : judgement.findings) {
        const harness::Limit& limit = harness::limit(finding.quantity);
        out += fmt::format("{}{} ({})", out.empty() ? indent + "limit: " : ", ", limit.name, limit.level);
    }
    return out.empty() ? out : out + "\n";
}

}  // namespace reports
