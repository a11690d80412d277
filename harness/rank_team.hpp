// The processes of one MPI job (mpirun, srun), as far as a run in ranks needs them: messages to and from rank
// 0. The one place of the program that knows MPI is rank_team_mpi.cpp; a build without has
// rank_team_none.cpp.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace harness {

struct RankMessage {
    int from = 0;
    std::string text;
};

// Not thread-safe. Functions throw std::runtime_error where MPI reports an error.
class RankTeam {
public:
    virtual ~RankTeam() = default;

    [[nodiscard]] virtual int rank() const = 0;
    [[nodiscard]] virtual int size() const = 0;
    [[nodiscard]] virtual std::string host() const = 0;

    // Returns when the message is on its way.
    virtual void send(int to, const std::string& text) = 0;

    // The next message, if one has come. Never blocks.
    virtual std::optional<RankMessage> receive() = 0;

    // Some process of the team is gone, or this one is going before its time: nobody may be waited for any
    // more when this process leaves. The launcher ends the others then.
    virtual void give_up() = 0;
};

// Whether a launcher started this process as one of a job that MPI can join. Alone, a process has no use for
// MPI.
bool started_by_launcher();

// How many processes a launcher started at once with this one among them, as it says; 1: it says nothing.
int launched_processes();

// Joins the job; leaves it when the result goes. To be called once. Throws std::runtime_error, one line, in a
// build without MPI.
std::unique_ptr<RankTeam> join_rank_team();

}  // namespace harness
