// The native side of encoder_proof.py: walks the golden encoder of a checkpoint over a mel spectrogram and
// compares the tensor of every op with files of fp64 that another implementation wrote.
//
//   encoder_proof CHECKPOINT FOLDER FRAMES STRIDE
//
// FOLDER holds `mel` (f32 [frame, mels]) and a file "<stage> <op>" for every op of every piece (f64, heads
// concatenated; square ones [head, query, key]). Exit code 1 where a relative error exceeds 2e-5 or a tensor
// is not seen whole.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "datasets/checkpoint.hpp"
#include "harness/encoder_run.hpp"
#include "reference/golden.hpp"

namespace {

using datasets::Op;
using harness::Stage;

constexpr double limit = 2e-5;

template <typename T>
std::vector<T> read_all(const std::filesystem::path& file) {
    std::vector<T> values(std::filesystem::file_size(file) / sizeof(T));
    std::ifstream in(file, std::ios::binary);
    in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
    if (!in) {
        throw std::runtime_error(fmt::format("{}: cannot read it", file.string()));
    }
    return values;
}

// Relative Frobenius error of each tensor against its file.
class Comparer final : public harness::EncoderObserver {
public:
    Comparer(std::filesystem::path folder, const harness::EncoderPieces& pieces)
        : folder_(std::move(folder)), pieces_(pieces) {}

    bool wants(Stage, Op op) const override { return op != Op::mel; }

    void accept(Stage stage, Op op, datasets::Rows rows, const datasets::TensorView& values) override {
        const std::scoped_lock lock(mutex_);
        Tensor& tensor = tensor_of(stage, op);
        const std::int64_t width = width_of(op);
        const bool square = datasets::is_square(op);
        for (std::int64_t row = 0; row < rows.count; ++row) {
            const std::int64_t line =
                square ? rows.head * pieces_.shape.context + rows.begin + row : (rows.begin + row);
            const std::int64_t offset =
                line * width + (!square && rows.head >= 0 ? rows.head * datasets::head_width : 0);
            const auto got = values.row(row);
            for (std::size_t column = 0; column < got.size(); ++column) {
                const double expected = tensor.expected.at(static_cast<std::size_t>(offset) + column);
                const double error = double{got[column]} - expected;
                tensor.error += error * error;
                tensor.energy += expected * expected;
            }
            tensor.seen += got.size();
        }
        if (tensor.seen == tensor.expected.size()) {
            tensor.expected = {};  // only its error is wanted from here on; one element more would throw
            tensor.whole = true;
        }
    }

    // True where every file was compared, whole and within the limit.
    [[nodiscard]] bool report() const {
        bool good = true;
        std::size_t files = 0;
        for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
            files += entry.path().filename() == "mel" ? 0U : 1U;
        }
        std::map<std::string, double> worst;
        for (const auto& [name, tensor] : tensors_) {
            const double error = std::sqrt(tensor.error / tensor.energy);
            if (!tensor.whole || !(error <= limit)) {
                fmt::print("{}: relative error {:.2e}, limit {:.0e}, {}\n", name, error, limit,
                           tensor.whole ? "whole" : "not seen whole");
                good = false;
            }
            double& most = worst[name.substr(name.rfind(' ') + 1)];
            most = std::max(most, error);
        }
        for (const auto& [op, error] : worst) {
            fmt::print("  {:<20} {:.2e}\n", op, error);
        }
        if (files != tensors_.size()) {
            fmt::print("{} files, {} tensors of the encoder\n", files, tensors_.size());
            good = false;
        }
        return good;
    }

private:
    struct Tensor {
        std::vector<double> expected;
        std::size_t seen = 0;
        bool whole = false;
        double error = 0;
        double energy = 0;
    };

    Tensor& tensor_of(Stage stage, Op op) {
        const std::string name = fmt::format("{} {}", harness::name(stage), datasets::name(op));
        const auto [found, fresh] = tensors_.try_emplace(name);
        if (fresh) {
            found->second.expected = read_all<double>(folder_ / name);
        }
        return found->second;
    }

    [[nodiscard]] std::int64_t width_of(Op op) const {
        if (op <= Op::embedding) {
            return datasets::row_width(op, pieces_.stem->shape);
        }
        const bool headed_rows = datasets::info(op).form == datasets::Form::headed_rows;
        return headed_rows ? pieces_.shape.width() : datasets::row_width(op, pieces_.shape);
    }

    std::filesystem::path folder_;
    const harness::EncoderPieces& pieces_;
    std::mutex mutex_;
    std::map<std::string, Tensor> tensors_;
};

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc != 5) {
            throw std::runtime_error("usage: encoder_proof CHECKPOINT FOLDER FRAMES STRIDE");
        }
        const harness::EncoderPieces pieces = harness::make_pieces(datasets::read_checkpoint(argv[1]),
                                                                   std::atoll(argv[3]), std::atoll(argv[4]));
        Comparer comparer(argv[2], pieces);
        reference::GoldenPath golden;
        harness::EncoderWalk walk(pieces, harness::golden_route(golden), &comparer);
        walk.run(read_all<float>(std::filesystem::path(argv[2]) / "mel"));
        return comparer.report() ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "encoder_proof: {}\n", error.what());
        return 1;
    }
}
