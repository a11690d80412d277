#include "npu_impl/launch_program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <variant>

#include "datasets/sha256.hpp"
#include "npu_impl/emulated_core.hpp"

namespace npu_impl {
namespace {

// First words of both parts: "KRN1" and "JOB1" in memory.
constexpr std::uint32_t kernel_mark = 0x314E524B;
constexpr std::uint32_t job_mark = 0x31424F4A;

// More tiles, bytes and items than any launch has: what exceeds them is no program, and sums of a few of them
// do not overflow.
constexpr std::int64_t most = std::int64_t{1} << 40;
constexpr std::int64_t most_items = std::int64_t{1} << 20;

class Writer {
public:
    void word(std::uint32_t value) { words.push_back(value); }
    void number(std::int64_t value) {
        const auto bits = static_cast<std::uint64_t>(value);
        word(static_cast<std::uint32_t>(bits));
        word(static_cast<std::uint32_t>(bits >> 32U));
    }
    void text(std::string_view value) {
        number(std::ssize(value));
        for (std::size_t i = 0; i < value.size(); i += 4) {
            std::uint32_t packed = 0;
            for (std::size_t j = i; j < std::min(i + 4, value.size()); ++j) {
                packed |= std::uint32_t{static_cast<unsigned char>(value[j])} << (8 * (j - i));
            }
            word(packed);
        }
    }

    std::vector<std::uint32_t> words;
};

class WordReader {
public:
    WordReader(std::string_view what, std::span<const std::uint32_t> words) : what_(what), words_(words) {}

    [[noreturn]] void refuse(std::string_view why) const {
        throw DeviceError(fmt::format("{}: word {} of {}: {}", what_, next_, words_.size(), why));
    }
    std::uint32_t word() {
        if (next_ == words_.size()) {
            refuse("it ends too early");
        }
        return words_[next_++];
    }
    std::int64_t number(std::int64_t least, std::int64_t greatest) {
        const std::uint64_t low = word();
        const auto value = static_cast<std::int64_t>(low | std::uint64_t{word()} << 32U);
        if (value < least || value > greatest) {
            refuse(fmt::format("{} is not within {} and {}", value, least, greatest));
        }
        return value;
    }
    std::string text() {
        std::string value(static_cast<std::size_t>(number(0, 256)), ' ');
        for (std::size_t i = 0; i < value.size(); ++i) {
            packed_ = i % 4 == 0 ? word() : packed_ >> 8U;
            value[i] = static_cast<char>(packed_ & 0xFFU);
        }
        return value;
    }
    template <typename Enum>
    Enum named(Enum last) {
        return static_cast<Enum>(number(0, static_cast<std::int64_t>(last)));
    }
    void expect_mark(std::uint32_t mark) {
        if (word() != mark) {
            refuse("it is not the program of a launch");
        }
    }
    void expect_end() const {
        if (next_ != words_.size()) {
            refuse("it goes on behind its end");
        }
    }

private:
    std::string what_;
    std::span<const std::uint32_t> words_;
    std::size_t next_ = 0;
    std::uint32_t packed_ = 0;
};

// Writing and reading walk one list of fields per kind of job, so that they cannot drift apart.
struct FieldWriter {
    Writer& out;
    std::span<const LaunchArgument> arguments;

    void operator()(const Region& region) {
        out.number(region.argument);
        out.number(region.offset - arguments[static_cast<std::size_t>(region.argument)].offset);
        out.number(region.stride);
    }
    void operator()(const std::optional<Region>& region) {
        out.number(region ? 1 : 0);
        if (region) {
            (*this)(*region);
        }
    }
    void operator()(std::int64_t count) { out.number(count); }
    void operator()(float value) { out.word(std::bit_cast<std::uint32_t>(value)); }
    void operator()(bool value) { out.number(value ? 1 : 0); }
    void operator()(kernels::Store store) { out.number(static_cast<std::int64_t>(store)); }
    void operator()(kernels::Right layout) { out.number(static_cast<std::int64_t>(layout)); }
};

struct FieldReader {
    WordReader& in;
    std::int64_t arguments;

    void operator()(Region& region) {
        region.argument = static_cast<int>(in.number(0, arguments - 1));
        region.offset = in.number(0, most);
        region.stride = in.number(0, most);
    }
    void operator()(std::optional<Region>& region) {
        if (in.number(0, 1) == 1) {
            (*this)(region.emplace());
        }
    }
    void operator()(std::int64_t& count) { count = in.number(0, most_items); }
    void operator()(float& value) { value = std::bit_cast<float>(in.word()); }
    void operator()(bool& value) { value = in.number(0, 1) == 1; }
    void operator()(kernels::Store& store) { store = in.named(kernels::Store::bf16_floor); }
    void operator()(kernels::Right& layout) { layout = in.named(kernels::Right::n_by_k); }
};

// One list of fields per kind of job.
template <typename Visitor>
void walk(Visitor visit, auto& job) {
    const auto each = [&](auto&... field) { (visit(field), ...); };
    if constexpr (requires { job.layout; }) {
        each(job.left, job.right, job.layout, job.k_tiles, job.bias, job.scale, job.store, job.rerounded,
             job.out);
    } else if constexpr (requires { job.query; }) {
        each(job.query, job.key, job.value, job.key_tiles, job.keys, job.scale, job.store, job.out);
    } else if constexpr (requires { job.scores; }) {
        each(job.scores, job.key_tiles, job.keys, job.store, job.out);
    } else if constexpr (requires { job.gain; }) {
        each(job.x, job.gain, job.bias, job.tiles, job.store, job.out);
    } else {
        each(job.x, job.store, job.out);
    }
}

using Work = decltype(Job::work);

template <std::size_t kind = 0>
Work work_of_kind(std::int64_t wanted) {
    if constexpr (kind + 1 < std::variant_size_v<Work>) {
        if (wanted != static_cast<std::int64_t>(kind)) {
            return work_of_kind<kind + 1>(wanted);
        }
    }
    return std::variant_alternative_t<kind, Work>{};
}

std::vector<LaunchArgument> arguments_of(const Launch& launch) {
    std::vector<LaunchArgument> arguments;
    for (const Buffer buffer : launch.buffers) {
        arguments.push_back({buffer, 0, false});
    }
    for (const Job& job : launch.jobs) {
        for (const Access& access : accesses(job)) {
            const int index = access.region.argument;
            if (index < 0 || index >= std::ssize(arguments)) {
                throw DeviceError(fmt::format("design {}: kernel {}: {} is argument {} of {}", launch.design,
                                              launch.kernel, access.what, index, arguments.size()));
            }
            LaunchArgument& argument = arguments[static_cast<std::size_t>(index)];
            argument.offset =
                argument.used ? std::min(argument.offset, access.region.offset) : access.region.offset;
            argument.used = true;
        }
    }
    return arguments;
}

}  // namespace

BoundLaunch bind_program(const Launch& launch) {
    BoundLaunch bound{{}, arguments_of(launch)};
    Writer kernel;
    kernel.word(kernel_mark);
    kernel.text(launch.kernel);
    kernel.number(static_cast<std::int64_t>(launch.source));
    kernel.number(launch.stack_bytes);
    kernel.number(std::ssize(launch.core_memory));
    for (const CoreBuffer& buffer : launch.core_memory) {
        kernel.text(buffer.name);
        kernel.number(buffer.bytes);
        kernel.number(buffer.copies);
    }
    Writer jobs;
    jobs.word(job_mark);
    jobs.number(std::ssize(launch.buffers));
    jobs.number(std::ssize(launch.jobs));
    for (const Job& job : launch.jobs) {
        jobs.number(job.core);
        jobs.number(static_cast<std::int64_t>(job.work.index()));
        std::visit([&](const auto& work) { walk(FieldWriter{jobs, bound.arguments}, work); }, job.work);
    }
    bound.program = {std::move(kernel.words), std::move(jobs.words)};
    return bound;
}

std::string identity(const LaunchProgram& program) {
    datasets::Sha256 hash;
    hash.update(std::as_bytes(std::span(program.kernel)));
    hash.update(std::as_bytes(std::span(program.instructions)));
    return hash.finish();
}

Launch decode_program(std::span<const std::uint32_t> kernel, std::span<const std::uint32_t> instructions) {
    Launch launch;
    WordReader described("kernel of the xclbin", kernel);
    described.expect_mark(kernel_mark);
    launch.kernel = described.text();
    launch.source = described.named(KernelSource::scalar);
    launch.stack_bytes = described.number(0, core_memory_bytes);
    const std::int64_t regions = described.number(0, 64);
    for (std::int64_t i = 0; i < regions; ++i) {
        CoreBuffer& buffer = launch.core_memory.emplace_back();
        buffer.name = described.text();
        buffer.bytes = described.number(0, core_memory_bytes);
        buffer.copies = static_cast<int>(described.number(1, 2));
    }
    described.expect_end();
    WordReader jobs("instructions", instructions);
    jobs.expect_mark(job_mark);
    const std::int64_t arguments = jobs.number(0, 16);
    launch.buffers.resize(static_cast<std::size_t>(arguments));
    const std::int64_t count = jobs.number(0, most_items);
    for (std::int64_t i = 0; i < count; ++i) {
        Job& job = launch.jobs.emplace_back();
        job.core = static_cast<int>(jobs.number(0, 255));
        job.work = work_of_kind(jobs.number(0, std::variant_size_v<Work> - 1));
        std::visit([&](auto& work) { walk(FieldReader{jobs, arguments}, work); }, job.work);
    }
    jobs.expect_end();
    return launch;
}

}  // namespace npu_impl
