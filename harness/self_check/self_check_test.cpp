// The self-check: what the library must hold, that it sees what is there, and that nothing fools it.
#include "harness/self_check/self_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tbb/task_arena.h>

#include <set>

#include "datasets/synthetic.hpp"
#include "harness/options.hpp"
#include "harness/self_check/findings.hpp"
#include "harness/self_check/self_check_json.hpp"
#include "harness/self_check/variants.hpp"

namespace harness {
namespace {

using datasets::Op;
using testing::HasSubstr;

const auto quiet = [](std::string_view) {};

std::shared_ptr<const Ground> small_ground() {
    static const auto ground = synthetic_ground({datasets::frozen_seed, 130, 4});
    return ground;
}

SelfCheckRequest small_request() {
    SelfCheckRequest request;
    request.grounds = {small_ground()};
    request.designs = {npu_impl::compose("unfused"), npu_impl::compose("fused")};
    request.variants = false;
    return request;
}

std::string survivors(const SelfCheckResult& result) {
    std::string out;
    for (const TrialResult& trial : result.trials) {
        if (!trial.as_due()) {
            out += trial.arguments + " at " + trial.place + ": " +
                   (trial.findings.empty() ? "nothing " : trial.findings.front().text) + trial.error + "\n";
        }
    }
    return out;
}

TEST(Faults, AreManyAndEachSaysWhatItIs) {
    std::set<std::string> names;
    int visible = 0;
    for (const Fault& fault : planted_faults()) {
        EXPECT_TRUE(names.insert(fault.name).second) << fault.name << " is there twice";
        EXPECT_FALSE(fault.says.empty()) << fault.name;
        EXPECT_FALSE(fault.places.empty()) << fault.name;
        EXPECT_EQ(fault.visible == nullptr, fault.needs.empty()) << fault.name;
        const Plant& plant = fault.plant;
        EXPECT_TRUE(plant.device || plant.kernels || plant.path || plant.judged || plant.golden)
            << fault.name;
        visible += fault.equivalent.empty() ? 1 : 0;
    }
    EXPECT_GE(visible, 60);
    EXPECT_GE(healthy_variants(false).size(), 12U);
}

// Levels 2 and 3 look a second time at what level 1 sees: no fault is theirs alone.
bool is_second_look(const Limit& check) {
    return check.level == "L2" || check.level == "L3";
}

TEST(Faults, LeaveNoGatedCheckWithoutOne) {
    for (const Limit& check : limits()) {
        if (is_second_look(check)) {
            continue;
        }
        const auto faults = planted_faults();
        EXPECT_EQ(check.gated, std::ranges::any_of(faults,
                                                   [&](const Fault& fault) {
                                                       return fault.equivalent.empty() &&
                                                              fault.own == check.quantity;
                                                   }))
            << check.name;
    }
}

TEST(SelfCheck, FailsEveryVisibleFaultByItsOwnCheck) {
    const SelfCheckResult result = self_check(small_request(), quiet);
    EXPECT_TRUE(result.passed()) << survivors(result);
    EXPECT_TRUE(result.unproven.empty()) << [&] {
        std::string words;
        for (const Quantity check : result.unproven) {
            words += word_of(check) + " ";
        }
        return words;
    }();
    EXPECT_GT(result.trials.size(), 500U);
    for (const Limit& check : limits()) {
        std::vector<TrialResult> trials = result.trials;
        for (TrialResult& trial : trials) {
            std::erase_if(trial.findings,
                          [&](const Finding& finding) { return finding.quantity == check.quantity; });
        }
        EXPECT_EQ(check.gated, std::ranges::count(unproven_by(trials), check.quantity) == 1) << check.name;
    }
}

TEST(SelfCheck, FailsFaultsOfTheExactDeviceAlike) {
    SelfCheckRequest request = small_request();
    request.emulation = datasets::Emulation::exact;
    std::erase_if(request.faults, [](const Fault& fault) {
        return fault.seam != Seam::launch && fault.seam != Seam::kernels;
    });
    const SelfCheckResult result = self_check(request, quiet);
    EXPECT_EQ(survivors(result), "");
    EXPECT_GT(result.trials.size(), 100U);
}

TEST(SelfCheck, PassesHealthyVariants) {
    SelfCheckRequest request = small_request();
    request.faults.clear();
    request.variants = true;
    const SelfCheckResult result = self_check(request, quiet);
    EXPECT_GE(result.variants.size(), 12U);
    for (const VariantResult& variant : result.variants) {
        EXPECT_TRUE(variant.as_due()) << variant.name << ": " << variant.error
                                      << (variant.findings.empty() ? "" : variant.findings.front().text);
    }
    EXPECT_TRUE(result.passed()) << "nothing was planted, and nothing raised an alarm";
}

// Each fault of the check alone, so that it is fast.
TEST(SelfCheck, FailsWithoutAnyOneCheck) {
    for (const Limit& check : limits()) {
        if (!check.gated || is_second_look(check)) {
            continue;
        }
        SelfCheckRequest request = small_request();
        request.designs.resize(1);
        const auto first = std::ranges::find_if(request.faults, [&](const Fault& fault) {
            return fault.own == check.quantity && fault.equivalent.empty();
        });
        ASSERT_NE(first, request.faults.end()) << check.name;
        first->places.resize(1);
        request.only_fault = first->name;
        EXPECT_TRUE(self_check(request, quiet).passed()) << check.name << " by " << first->name;
        request.without = check.quantity;
        const SelfCheckResult result = self_check(request, quiet);
        EXPECT_FALSE(result.passed()) << check.name << " by " << first->name;
        EXPECT_NE(survivors(result), "");
    }
}

Fault nothing_wrong() {
    Fault fault{"nothing_wrong", "nothing", Seam::layer, Quantity::bound, each_of({Op::query}), {}};
    fault.plant.judged = [](datasets::LayerCase&) {};
    return fault;
}

TEST(SelfCheck, IsNotFooledByAFaultThatIsNone) {
    SelfCheckRequest request = small_request();
    request.faults = {nothing_wrong()};
    request.only_fault = "nothing_wrong";
    const SelfCheckResult result = self_check(request, quiet);
    EXPECT_FALSE(result.passed());
    ASSERT_EQ(result.trials.size(), 1U) << "both designs compute query alike";
    EXPECT_FALSE(result.trials[0].as_due());
    EXPECT_TRUE(result.trials[0].findings.empty());
}

TEST(SelfCheck, IsNotFooledByAWrongCheckOrAFalseProof) {
    for (Fault& fault : planted_faults()) {
        if (fault.name != "zero_tile") {
            continue;
        }
        fault.places = each_of({Op::query});
        SelfCheckRequest request = small_request();
        request.only_fault = fault.name;
        request.faults = {fault};
        request.faults[0].own = Quantity::launches;
        EXPECT_FALSE(self_check(request, quiet).passed()) << "failed, but not by its own check";
        request.faults[0].own = fault.own;
        EXPECT_TRUE(self_check(request, quiet).passed());
        request.faults[0].equivalent = "a false proof";
        EXPECT_FALSE(self_check(request, quiet).passed());
    }
}

TEST(SelfCheck, NamesChecksThatNothingProves) {
    SelfCheckRequest request = small_request();
    std::erase_if(request.faults, [](const Fault& fault) { return fault.own != Quantity::coverage; });
    const SelfCheckResult result = self_check(request, quiet);
    EXPECT_FALSE(result.passed());
    EXPECT_THAT(result.unproven, testing::Contains(Quantity::guards));
    EXPECT_THAT(result.unproven, testing::Not(testing::Contains(Quantity::coverage)));
    EXPECT_THAT(to_json(result), HasSubstr("\"guard_zones_intact\""));
}

TEST(SelfCheck, DoesNotDependOnTheNumberOfThreads) {
    SelfCheckRequest request = small_request();
    std::erase_if(request.faults, [](const Fault& fault) { return fault.seam != Seam::device; });
    const std::string parallel = to_json(self_check(request, quiet));
    std::string alone;
    tbb::task_arena(1).execute([&] { alone = to_json(self_check(request, quiet)); });
    EXPECT_EQ(parallel, alone);
}

TEST(SelfCheck, RefusesUnknownNames) {
    SelfCheckRequest request = small_request();
    request.only_fault = "zero_tiel";
    EXPECT_THROW(self_check(request, quiet), std::invalid_argument);
    for (const char* option : {"--fault", "--without", "--design"}) {
        const std::array words{"harness", "self-check", option, "zero_tiel"};
        try {
            parse_command_line(static_cast<int>(words.size()), words.data());
            ADD_FAILURE() << option;
        } catch (const UsageError& error) {
            EXPECT_THAT(error.what(), HasSubstr("zero_tiel"));
            EXPECT_THAT(error.what(), testing::Not(HasSubstr("\n")));
        }
    }
}

TEST(Checks, HaveWordsThatLeadBack) {
    for (const Limit& check : limits()) {
        EXPECT_EQ(parse_check(word_of(check.quantity)), check.quantity);
    }
    EXPECT_EQ(word_of(Quantity::repeatability), "a_b_a_repeats");
}

// Two keys of equal logits, then one that outweighs both: traits by hand.
TEST(Traits, AreThoseOfTheLogits) {
    datasets::LayerCase layer;
    layer.shape = {3, 1};
    layer.input.assign(3 * 64, 0.0F);
    layer.input[0] = 1;
    layer.input[64] = 1;
    layer.input[128] = 2;
    auto& attention = layer.weights.attention;
    for (auto* linear : {&attention.query, &attention.key, &attention.value, &attention.output}) {
        linear->weight.assign(64 * 64, 0.0F);
        linear->weight[0] = 4;
        linear->bias.assign(64, 0.0F);
    }
    attention.key.bias.clear();
    // q = k = 4 x: logits 16 x_i x_j / 8 = 2, 2, 4 in the first rows and 4, 4, 8 in the last.
    const Traits traits = traits_of(layer);
    EXPECT_NEAR(traits.largest_logit, 8, 1e-5);
    EXPECT_NEAR(traits.deepest_row, 4, 1e-5);
    EXPECT_NEAR(traits.latest_growth, 0, 1e-6);
    const double small = std::exp(-2.0);
    EXPECT_NEAR(traits.effective_keys, (1 + 2 * small) * (1 + 2 * small) / (1 + 2 * small * small), 1e-5);
    EXPECT_NEAR(traits.last_key_share, 1 / (1 + 2 * std::exp(-4.0)), 1e-6);
    EXPECT_NEAR(traits.last_tile_share, 1, 1e-6);
    const double padding = 61 / (2 * std::exp(2.0) + std::exp(4.0));
    EXPECT_NEAR(traits.padding_share, padding / (1 + padding), 1e-6);
}

}  // namespace
}  // namespace harness
