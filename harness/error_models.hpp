// The error models of one piece: one per range of ops, made when the range is first judged, so that isolated
// and chained runs share what they can.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "harness/error_model.hpp"
#include "harness/experiment.hpp"

namespace harness {

class ErrorModels {
public:
    // Of a candidate's runs as `selection` says. References must outlive this.
    ErrorModels(const datasets::LayerCase& layer, const datasets::Source& golden,
                const datasets::Path& candidate, const Selection& selection)
        : ErrorModels(layer, golden, declared_by(candidate), selection) {}
    // Of runs whose every step is declared, whether they emit it or not.
    ErrorModels(const datasets::LayerCase& layer, const datasets::Source& golden, Declared declared,
                const Selection& selection)
        : wanted_(selection.predict_errors),
          make_([&layer, &golden, &selection, declared = std::move(declared)](datasets::OpRange range) {
              return std::make_shared<const ErrorModel>(layer, golden, declared, range, selection.head);
          }) {}
    ErrorModels(const datasets::EndCase& end, const datasets::Source& golden, const datasets::Path& candidate,
                const Selection& selection)
        : wanted_(selection.predict_errors), make_([&](datasets::OpRange) {
              return std::make_shared<const ErrorModel>(end, golden, declared_by(candidate));
          }) {}

    // Null where the selection does not want level 2.
    std::shared_ptr<const ErrorModel> of(datasets::OpRange range) {
        if (!wanted_) {
            return nullptr;
        }
        auto& model = models_[{range.first, range.last}];
        if (!model) {
            model = make_(range);
        }
        return model;
    }

private:
    bool wanted_;
    std::function<std::shared_ptr<const ErrorModel>(datasets::OpRange)> make_;
    std::map<std::pair<datasets::Op, datasets::Op>, std::shared_ptr<const ErrorModel>> models_;
};

}  // namespace harness
