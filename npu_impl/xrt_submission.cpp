#include "npu_impl/xrt_submission.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace npu_impl {
namespace {

std::string_view state_name(ert_cmd_state state) {
    switch (state) {
        case ERT_CMD_STATE_COMPLETED:
            return "COMPLETED";
        case ERT_CMD_STATE_ERROR:
            return "ERROR";
        case ERT_CMD_STATE_ABORT:
            return "ABORT";
        case ERT_CMD_STATE_TIMEOUT:
            return "TIMEOUT";
        case ERT_CMD_STATE_NORESPONSE:
            return "NORESPONSE";
        default:
            return "unfinished";
    }
}

std::string beyond_limit(const std::string& what, std::chrono::milliseconds limit) {
    return fmt::format("{}: it did not end within {} ms; --timeout-ms sets the limit", what, limit.count());
}

std::string ended_as(const std::string& what, ert_cmd_state state) {
    return fmt::format("{}: it ended as {}, not as COMPLETED", what, state_name(state));
}

}  // namespace

XrtSubmission::XrtSubmission(XrtContext& context, std::vector<XrtLaunch> launches)
    : context_(&context), launches_(std::move(launches)) {
    asking_xrt(launches_.front().what, [&] {
#ifdef HARNESS_XRT_RUN_LIST
        if (launches_.size() > 1) {
            list_ = context.new_list();
            for (const XrtLaunch& launch : launches_) {
                list_->add(launch.run);
            }
            list_->execute();
            return;
        }
#endif
        launches_.front().run.start();
    });
}

XrtSubmission::Ending XrtSubmission::wait(std::chrono::milliseconds limit) {
    try {
#ifdef HARNESS_XRT_RUN_LIST
        if (list_) {
            return wait_for_list(limit);
        }
#endif
        return wait_for_one(limit);
    } catch (const std::exception& error) {
        return {0, fmt::format("device xrt: {}: {}", launches_.front().what, one_line(error.what())), false};
    }
}

XrtSubmission::Ending XrtSubmission::wait_for_one(std::chrono::milliseconds limit) {
    const XrtLaunch& launch = launches_.front();
    const ert_cmd_state state = launch.run.wait(limit);
    if (state == ERT_CMD_STATE_COMPLETED) {
        return {1, "", true};
    }
    const bool unfinished = state == ERT_CMD_STATE_TIMEOUT && launch.run.state() < ERT_CMD_STATE_COMPLETED;
    return {0, unfinished ? beyond_limit(launch.what, limit) : ended_as(launch.what, state), !unfinished};
}

#ifdef HARNESS_XRT_RUN_LIST
XrtSubmission::Ending XrtSubmission::wait_for_list(std::chrono::milliseconds limit) {
    try {
        if (list_->wait(limit) == std::cv_status::no_timeout) {
            return {launches_.size(), "", true};
        }
        // XRT does not tell how far it came.
        return {0,
                beyond_limit(fmt::format("{}, or one of the {} behind it in a list", launches_.front().what,
                                         launches_.size() - 1),
                             limit),
                false};
    } catch (const xrt::runlist::command_error& error) {
        const auto* packet = error.get_run().get_ert_packet();
        const auto failed = std::ranges::find_if(
            launches_, [&](const XrtLaunch& launch) { return launch.run.get_ert_packet() == packet; });
        const auto index = static_cast<std::size_t>(failed - launches_.begin());
        const std::string& what = launches_.at(index).what;
        return {index,
                ended_as(fmt::format("{}, run {} of a list of {}", what, index + 1, launches_.size()),
                         error.get_command_state()),
                true};
    }
}
#endif

bool XrtSubmission::has_ended() const {
#ifdef HARNESS_XRT_RUN_LIST
    if (list_) {
        return list_->state() >= ERT_CMD_STATE_COMPLETED;
    }
#endif
    const xrt::run& run = launches_.front().run;
    if (run.state() < ERT_CMD_STATE_COMPLETED) {
        return false;
    }
    (void)run.wait(std::chrono::milliseconds(1));
    return true;
}

void set_aside(std::deque<XrtSubmission>& submissions) {
    static std::vector<XrtSubmission>& unfinished = *new std::vector<XrtSubmission>;
    const auto has_ended = [](const XrtSubmission& submission) { return submission.has_ended(); };
    std::erase_if(unfinished, has_ended);
    for (XrtSubmission& submission : submissions) {
        if (!submission.has_ended()) {
            unfinished.push_back(std::move(submission));
        }
    }
    submissions.clear();
}

}  // namespace npu_impl
