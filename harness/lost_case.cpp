#include "harness/lost_case.hpp"

namespace harness {

CaseResult lost_case(const std::string& clip, int layer, const Selection& selection,
                     const std::string& reason) {
    CaseResult result;
    result.layer.clip = clip;
    result.layer.layer = layer;
    result.layer.headline = {Verdict::not_run, reason, {}};
    const std::vector<datasets::Work> works =
        layer == end_layer ? std::vector<datasets::Work>{{datasets::end_ops, -1}} : selection.works();
    for (const Input input : selection.inputs) {
        for (const datasets::Work& work : works) {
            for (const datasets::OpInfo& info : datasets::ops_in(work.ops)) {
                if (!selection.judges(info.op)) {
                    continue;
                }
                OpRow row;
                row.clip = clip;
                row.layer = layer;
                row.op = info.op;
                row.input = input;
                row.judgement = {Verdict::not_run, reason, {}};
                result.rows.push_back(std::move(row));
            }
        }
    }
    return result;
}

}  // namespace harness
