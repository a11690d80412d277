// A process that does the work of a rank. It holds the recording, the device and nothing of MPI: where it
// dies (a crash, a kernel without memory), the rank that started it lives on, and says so.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/experiment.hpp"

namespace harness {

// What a worker has to say.
struct WorkerEvent {
    enum class Kind : char {
        ready = 'r',    // text: most shards and stages of the run, a line break, its identity
        stage = 's',    // text: what begins
        result = 'd',   // text: the record of the shard
        refused = 'x',  // text: why it cannot go on; the first line is the exit code
        died = 'k',     // text: how it ended
    };
    Kind kind = Kind::stage;
    std::string text;
};

// Runs one shard of so many and gives its record as JSON.
using ShardJob = std::function<std::string(Share share, const Progress& progress)>;

// A job that can begin.
struct PreparedJob {
    int most_shards = 0;   // that the run can be dealt out in
    int stages = 0;        // that the whole run reports
    std::string identity;  // what must be the same for all that do a part of the run, as JSON
    ShardJob run;
};

class RankWorker {
public:
    // Forks, before this process has threads or MPI; `prepare` is called in the child.
    explicit RankWorker(const std::function<PreparedJob()>& prepare);
    RankWorker(const RankWorker&) = delete;
    RankWorker& operator=(const RankWorker&) = delete;
    // Leaves the child to end: at once where it is idle, else behind the stage that it is at. Kills it only
    // when it has not for ten seconds, for a device may have work in flight.
    ~RankWorker();

    // Of an idle worker that is ready. What happens then comes as events.
    void start(Share share);

    // The next event, as far as one comes in time. Nothing comes after refused or died.
    std::optional<WorkerEvent> wait(std::chrono::milliseconds most);

private:
    std::optional<WorkerEvent> take();
    std::string how_it_ended();

    pid_t pid_ = -1;
    int orders_ = -1;  // to the child
    int events_ = -1;  // from it
    std::string received_;
    bool silent_ = false;  // no more events
    bool reaped_ = false;
};

}  // namespace harness
