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
        ready = 'r',    // text: how many shards the run has
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

// A job, and how many shards there are.
struct PreparedJob {
    int shards = 0;
    ShardJob run;
};

class RankWorker {
public:
    // Forks, before this process has threads or MPI; `prepare` is called in the child.
    explicit RankWorker(const std::function<PreparedJob()>& prepare);
    RankWorker(const RankWorker&) = delete;
    RankWorker& operator=(const RankWorker&) = delete;
    // Ends the child.
    ~RankWorker();

    // Of an idle worker that is ready. What happens then comes as events.
    void start(int shard);

    // The next event, as far as one comes in time. Nothing comes after refused or died.
    std::optional<WorkerEvent> wait(std::chrono::milliseconds most);

    [[nodiscard]] pid_t pid() const { return pid_; }

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
