// The one home of MPI. Errors of MPI are exceptions here; a team that somebody left is not waited for.
#include <fmt/format.h>
#include <mpi.h>

#include <array>
#include <limits>
#include <stdexcept>

#include "harness/rank_team.hpp"

namespace harness {
namespace {

constexpr int tag = 0;

void require(int code, std::string_view what) {
    if (code != MPI_SUCCESS) {
        std::array<char, MPI_MAX_ERROR_STRING> text{};
        int length = 0;
        MPI_Error_string(code, text.data(), &length);
        throw std::runtime_error(
            fmt::format("MPI: {}: {}", what, std::string_view(text.data(), std::size_t(length))));
    }
}

class MpiTeam final : public RankTeam {
public:
    MpiTeam() {
        int threads = 0;
        require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &threads), "cannot begin");
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
        require(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "rank");
        require(MPI_Comm_size(MPI_COMM_WORLD, &size_), "size");
    }
    MpiTeam(const MpiTeam&) = delete;
    MpiTeam& operator=(const MpiTeam&) = delete;
    ~MpiTeam() override {
        if (!given_up_) {
            MPI_Finalize();
        }
    }

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] std::string host() const override {
        std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
        int length = 0;
        MPI_Get_processor_name(name.data(), &length);
        return {name.data(), std::size_t(length)};
    }

    void send(int to, const std::string& text) override {
        if (text.size() > std::size_t(std::numeric_limits<int>::max())) {
            throw std::runtime_error(
                fmt::format("MPI: a record of {} bytes cannot be sent, more than 2 GB: deal the run out with "
                            "--shard I/N and harness merge",
                            text.size()));
        }
        require(MPI_Send(text.data(), int(text.size()), MPI_CHAR, to, tag, MPI_COMM_WORLD), "send");
    }

    std::optional<RankMessage> receive() override {
        int waiting = 0;
        MPI_Status status{};
        require(MPI_Iprobe(MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, &waiting, &status), "probe");
        if (waiting == 0) {
            return std::nullopt;
        }
        int length = 0;
        MPI_Get_count(&status, MPI_CHAR, &length);
        RankMessage message{status.MPI_SOURCE, std::string(std::size_t(length), '\0')};
        require(MPI_Recv(message.text.data(), length, MPI_CHAR, message.from, tag, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE),
                "receive");
        return message;
    }

    void give_up() override { given_up_ = true; }

private:
    int rank_ = 0;
    int size_ = 1;
    bool given_up_ = false;
};

}  // namespace

std::unique_ptr<RankTeam> join_rank_team() {
    return std::make_unique<MpiTeam>();
}

}  // namespace harness
