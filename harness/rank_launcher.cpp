// Asks what MPI_Init asks, before it: a process that no launcher started must not pay for MPI, nor start its
// daemon.
#include <algorithm>
#include <cstdlib>

#include "harness/rank_team.hpp"

namespace harness {

bool started_by_launcher() {
    // What PMIx and PMI launchers (mpirun, srun --mpi=pmix, --mpi=pmi2) tell every process that they start.
    constexpr const char* words[] = {"PMIX_RANK", "PMI_RANK"};
    return std::ranges::any_of(words, [](const char* word) { return std::getenv(word) != nullptr; });
}

}  // namespace harness
