// Tensors that another program computed from a recording, to be judged without running anything: one HDF5
// file, schema v1, read whole-heartedly or not at all.
//
// Layout (root attributes schema = "npu-attention-candidate", schema_version = (1, 0)):
//   /                    attributes recording_sha256 (content hash of the recording it was computed from, as
//                        `harness inspect` prints it), runner (what computed it, one line), input (below);
//                        optional: arithmetic (design whose arithmetic the numbers have, see `harness list`),
//                        device (one line), launches (integer, as the runner counted them)
//   /clips/<id>/layer_<n>/<op>
//       query, key, value, context, output, attention_norm, mlp_norm, fc2  [time, channel]
//       fc1, gelu                                                          [time, 4 channel]
//       scores (scaled by 1/8), probabilities                              [head, query time, key time]
// Heads are concatenated, biases added. Any subset of clips, layers and ops may be there; another name is
// refused. Values are little-endian f32, or bf16: as HDF5's custom float, or as uint16 with the attribute
// dtype_logical = "bf16". Datasets may be contiguous or chunked, with fletcher32, shuffle and deflate. NaN
// and infinities are results like others: the judge finds them.
//
// `input` says what each step of the runner read:
//   isolated   the tensors of the recording (x, q, k, v, ctx, mlp/x, mlp/h), bit for bit; for what it does
//              not hold (scores, probabilities, fc1) the golden's, whose last bits differ between machines
//   chained    what the runner's own steps before it yielded, within the attention and within the MLP; what
//              comes before the first op in the file, the recording's: x for query, key and value, mlp/x for
//              fc1, and for a norm the residual stream
// write_candidate.py makes such a file with a few lines of h5py.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "datasets/path.hpp"
#include "datasets/recording.hpp"

namespace datasets {

// What the steps of the runner read.
enum class Feed : std::uint8_t { isolated, chained };

struct CandidateInfo {
    std::string runner;
    Feed feed = Feed::isolated;
    std::string arithmetic;                // name of a design, or empty
    std::string device;                    // or empty
    std::optional<std::int64_t> launches;  // as the runner says
};

// The ops that a candidate may hold, in dataflow order: of a layer all but the residual sums.
std::vector<Op> candidate_ops();

// A verified file. Opening checks structure, attributes and sizes of every object against the recording, in a
// child process first, because HDF5 crashes on some damaged files; values are read as they are asked for.
// Every function throws ReadError.
class Candidate {
public:
    Candidate(std::string file, const Recording& recording);
    ~Candidate();
    Candidate(Candidate&&) noexcept;
    Candidate& operator=(Candidate&&) noexcept;

    [[nodiscard]] const std::string& file() const;
    [[nodiscard]] const CandidateInfo& info() const;

    // What the file holds: layers ascending, ops in dataflow order. Empty for a clip or layer that it lacks.
    [[nodiscard]] std::vector<int> layers(const std::string& clip) const;
    [[nodiscard]] std::vector<Op> ops(const std::string& clip, int layer) const;

    // Reads rows of an op that the file holds: dense, [rows.count, columns], of all heads for head -1 (not of
    // a square op). bf16 widens exactly; nothing is said about the values. Thread-safe.
    void read(const std::string& clip, int layer, Op op, Rows rows, std::span<float> out) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace datasets
