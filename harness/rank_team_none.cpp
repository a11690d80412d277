// In a build without MPI there is no team to join.
#include <stdexcept>

#include "harness/rank_team.hpp"

namespace harness {

std::unique_ptr<RankTeam> join_rank_team() {
    throw std::runtime_error(
        "started by mpirun or srun, and this build has no MPI: install libopenmpi-dev and build again, or "
        "deal the run out with --shard I/N and harness merge");
}

}  // namespace harness
