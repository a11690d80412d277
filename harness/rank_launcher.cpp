// Asks what MPI_Init asks, before it: a process that no launcher started must not pay for MPI, nor start its
// daemon.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "harness/rank_team.hpp"

namespace harness {

bool started_by_launcher() {
    // What PMIx and PMI launchers (mpirun, srun --mpi=pmix, --mpi=pmi2) tell every process that they start.
    constexpr const char* words[] = {"PMIX_RANK", "PMI_RANK"};
    return std::ranges::any_of(words, [](const char* word) { return std::getenv(word) != nullptr; });
}

int launched_processes() {
    // Of Open MPI's mpirun, of PMI launchers, of srun with and without either. The first counts: mpirun may
    // itself use srun, for one process a node.
    for (const char* word : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
        if (const char* value = std::getenv(word)) {
            const std::string_view text(value);
            int processes = 1;
            std::from_chars(text.data(), text.data() + text.size(), processes);
            return processes;
        }
    }
    return 1;
}

}  // namespace harness
