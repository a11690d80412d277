// Statistics of the data, and what it could reveal, as run.json keeps them.
#include "harness/run_record_json.hpp"

namespace harness {

Json to_json(const LayerStatistics& statistics) {
    const auto measured = [](double value, std::string_view unit) { return number(value, unit, "measured"); };
    Json heads = Json::array();
    for (const HeadStatistics& head : statistics.heads) {
        heads.push_back({{"head", head.head},
                         {"effective_keys", measured(head.effective_keys, "keys")},
                         {"median_top_probability", measured(head.median_top_probability, "ratio")},
                         {"lowest_logit", measured(head.lowest_logit, "value")},
                         {"highest_logit", measured(head.highest_logit, "value")},
                         {"lowest_row_max", measured(head.lowest_row_max, "value")},
                         {"negative_rows", measured(head.negative_rows, "ratio")},
                         {"padding_share", measured(head.padding_share, "ratio")},
                         {"last_key_share", measured(head.last_key_share, "ratio")},
                         {"rescaled_share", measured(head.rescaled_share, "ratio")},
                         {"scale_share", measured(head.scale_share, "ratio")},
                         {"scale_slope", measured(head.scale_slope, "ratio")},
                         {"widest_row", measured(head.widest_row, "value")},
                         {"neighbours", measured(head.neighbours, "ratio")},
                         {"blocks", measured(head.blocks, "ratio")},
                         {"next_head", measured(head.next_head, "ratio")}});
    }
    return {{"outlier_channels", counted(statistics.outlier_channels, "channels")},
            {"largest_channel", measured(statistics.largest_channel, "median")},
            {"mirrored_rows", measured(statistics.mirrored_rows, "ratio")},
            {"smallest_bias", measured(statistics.smallest_bias, "ratio")},
            {"heads", heads}};
}

Json to_json(const std::vector<TrustRow>& rows) {
    Json out = Json::array();
    for (const TrustRow& row : rows) {
        out.push_back({{"fault_class", name(row.fault)},
                       {"verdict", name(row.judgement.verdict)},
                       {"reason", row.judgement.reason},
                       {"effect", number(row.effect, "effect", "measured")},
                       {"needed", number(row.needed, "effect", "derived")},
                       {"where", row.where}});
    }
    return out;
}

}  // namespace harness
