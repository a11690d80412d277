// A product of any size on the device: planned, padded, tiled, in buffers that are allocated once.
#pragma once

#include <span>

#include "npu_impl/design.hpp"
#include "npu_impl/device.hpp"
#include "npu_impl/tile_plan.hpp"

namespace npu_impl {

// out = scale * (left right + bias), as the design's kernel for `op` computes it.
struct MatmulCase {
    MatmulShape shape;
    datasets::Op op = datasets::Op::output;  // whose kernel and arithmetic the design declares
    kernels::Right layout = kernels::Right::n_by_k;
    float scale = 1;  // a power of two
};

class Matmul {
public:
    // `device` and `design` must outlive it. Throws std::invalid_argument for sizes < 1 or an op that is no
    // product, and DeviceError.
    Matmul(Device& device, const Design& design, const MatmulCase& product);
    ~Matmul();
    Matmul(const Matmul&) = delete;
    Matmul& operator=(const Matmul&) = delete;

    // right: [reduction, columns] (k_by_n) or [columns, reduction] (n_by_k); bias: [columns], or empty for
    // none.
    void load_right(std::span<const float> right, std::span<const float> bias);

    // left: [rows, reduction]; out: [rows, columns]. Operands are rounded as declared. Throws DeviceError and
    // IntegrityError; std::invalid_argument for sizes that do not fit; std::logic_error before load_right.
    void compute(std::span<const float> left, std::span<float> out);

    [[nodiscard]] const TilePlan& plan() const { return plan_; }

private:
    void send(Buffer buffer, std::span<const float> values, std::int64_t rows, std::int64_t columns);
    void bind();
    [[nodiscard]] MatmulJob job(const Slot& slot) const;
    void run_wave(std::int64_t wave, std::span<float> out);

    Device& device_;
    const Design& design_;
    MatmulCase product_;
    datasets::Arithmetic arithmetic_;
    TilePlan plan_;
    TileOutput output_;
    std::vector<float> host_bias_;  // where the host adds up the k tiles
    Buffer left_;
    Buffer right_;
    Buffer bias_;
    Buffer out_;
    std::vector<Launch> launches_;  // empty before load_right
};

}  // namespace npu_impl
