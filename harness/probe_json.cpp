// Rows of probes as run.json keeps them.
#include "harness/run_record_json.hpp"

namespace harness {

Json to_json(const std::vector<ProbeRow>& rows) {
    Json out = Json::array();
    for (const ProbeRow& row : rows) {
        Json one{{"probe", name(row.probe)},
                 {"proves", proves(row.probe)},
                 {"context", row.shape.context},
                 {"heads", row.shape.heads},
                 {"head", row.head},
                 {"verdict", name(row.judgement.verdict)},
                 {"reason", row.judgement.reason},
                 {"findings", to_json(row.judgement.findings)},
                 {"elements", counted(row.elements, "elements")},
                 {"judged", counted(row.judged, "elements")},
                 {"nonfinite", counted(row.nonfinite, "elements")},
                 {"rho", number(row.rho, "deviation/bound", "measured")},
                 {"row_sum_rho", number(row.row_sum_rho, "deviation/bound", "measured")}};
        if (row.rho > 0) {
            one["op"] = datasets::name(row.op);
            one["worst"] = {{"head", row.worst.head},
                            {"row", row.worst.row},
                            {"column", row.worst.column},
                            {"got", finite(row.worst.got)},
                            {"expected", finite(row.worst.expected)},
                            {"bound", finite(row.worst.bound)}};
        }
        if (row.site) {
            one["site"] = to_json(*row.site);
        }
        if (!row.reproduce.empty()) {
            one["reproduce"] = row.reproduce;
        }
        out.push_back(std::move(one));
    }
    return out;
}

}  // namespace harness
