// The words of a launch: they say all that a device computes, and nothing of where; any words are read or
// refused.
#include "npu_impl/launch_program.hpp"

#include <gmock/gmock.h>

#include <functional>
#include <random>
#include <set>

#include "npu_impl/launch_catalogue.hpp"

namespace npu_impl {
namespace {

using datasets::LayerShape;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

LaunchProgram program_of(const Launch& launch) {
    return bind_program(launch).program;
}

const Design& design(std::string_view name) {
    return *find_design(name);
}

TEST(LaunchProgramTest, OfEveryLaunchOfEveryDesignReadsBackToTheSameWords) {
    std::int64_t checked = 0;
    for (const Design& one : designs()) {
        for (const LayerShape shape : {LayerShape{1, 1}, LayerShape{130, 3}}) {
            for (const Launch& launch : planned_launches(one, shape, device_ops)) {
                const LaunchProgram program = program_of(launch);
                const Launch read = decode_program(program.kernel, program.instructions);
                ASSERT_EQ(program_of(read), program) << one.name;
                EXPECT_EQ(read.kernel, launch.kernel);
                EXPECT_EQ(read.core_memory, launch.core_memory);
                EXPECT_EQ(read.buffers.size(), launch.buffers.size());
                EXPECT_EQ(read.jobs.size(), launch.jobs.size());
                ++checked;
            }
        }
    }
    EXPECT_GT(checked, 500);
}

// What does not change the program: buffers, where in them the first access lies, and labels of jobs.
TEST(LaunchProgramTest, DoesNotDependOnBuffersNorOnWhereTheyAreEntered) {
    for (Launch launch : planned_launches(design("unfused"), {130, 3})) {
        const BoundLaunch bound = bind_program(launch);
        for (Job& job : launch.jobs) {
            job.head += 1;
            job.tile += 5;
            job.sampled = !job.sampled;
            std::visit(
                [](auto& work) {
                    work.out.offset += 4096;
                    if constexpr (requires { work.left; }) {
                        work.left.offset += 512;
                    }
                },
                job.work);
        }
        for (Buffer& buffer : launch.buffers) {
            buffer.id += 100;
        }
        const BoundLaunch moved = bind_program(launch);
        ASSERT_EQ(moved.program, bound.program) << launch.kernel;
        EXPECT_NE(moved.arguments, bound.arguments);
    }
}

// What does: every field that a core or a transfer depends on.
TEST(LaunchProgramTest, DependsOnEverythingThatIsComputed) {
    const Launch original = planned_launches(design("unfused"), {130, 3}).front();
    std::vector<std::pair<std::string, std::function<void(Launch&)>>> changes{
        {"core", [](Launch& launch) { launch.jobs[1].core += 1; }},
        {"jobs", [](Launch& launch) { launch.jobs.pop_back(); }},
        {"order", [](Launch& launch) { std::swap(launch.jobs[0], launch.jobs[1]); }},
        {"source", [](Launch& launch) { launch.source = KernelSource::scalar; }},
        {"stack", [](Launch& launch) { launch.stack_bytes += 64; }},
        {"memory", [](Launch& launch) { launch.core_memory[0].copies = 1; }},
        {"kernel", [](Launch& launch) { launch.kernel += "x"; }},
        {"buffers", [](Launch& launch) { launch.buffers.push_back({9}); }}};
    const auto of_job = [&](std::string name, std::function<void(MatmulJob&)> change) {
        changes.emplace_back(std::move(name),
                             [change](Launch& launch) { change(std::get<MatmulJob>(launch.jobs[1].work)); });
    };
    of_job("offset", [](MatmulJob& job) { job.left.offset += 4; });
    of_job("stride", [](MatmulJob& job) { job.right.stride += 4; });
    of_job("argument", [](MatmulJob& job) { job.left.argument = 1; });
    of_job("layout", [](MatmulJob& job) { job.layout = kernels::Right::k_by_n; });
    of_job("k tiles", [](MatmulJob& job) { job.k_tiles += 1; });
    of_job("bias", [](MatmulJob& job) { job.bias.reset(); });
    of_job("scale", [](MatmulJob& job) { job.scale = 0.5F; });
    of_job("store", [](MatmulJob& job) { job.store = kernels::Store::bf16_floor; });
    of_job("rerounded", [](MatmulJob& job) { job.rerounded = !job.rerounded; });
    std::set<std::string> identities{identity(program_of(original))};
    for (const auto& [name, change] : changes) {
        Launch changed = original;
        change(changed);
        EXPECT_TRUE(identities.insert(identity(program_of(changed))).second) << name;
    }
}

// The launches of a step differ only in where they begin. Base, 1500 rows, one layer: key has no bias, the
// other projections of one shape are one program.
TEST(LaunchProgramTest, OneProgramServesManyLaunches) {
    std::int64_t launches = 0;
    const std::vector<PlannedProgram> programs = planned_programs(design("unfused"), {1500, 8});
    for (const PlannedProgram& program : programs) {
        launches += program.launches;
    }
    EXPECT_EQ(launches, std::ssize(planned_launches(design("unfused"), {1500, 8})));
    EXPECT_LE(programs.size(), 6U);
    EXPECT_GT(launches, 30);
}

TEST(LaunchProgramTest, RefusesAnArgumentThatTheLaunchDoesNotHave) {
    Launch launch = planned_launches(design("unfused"), {64, 1}).front();
    std::get<MatmulJob>(launch.jobs[0].work).left.argument = 7;
    EXPECT_THAT([&] { bind_program(launch); }, ThrowsMessage<DeviceError>(HasSubstr("argument 7 of")));
}

// Whatever the words: a launch that gives the same words, or DeviceError.
void expect_read_or_refused(const LaunchProgram& program) {
    try {
        const Launch read = decode_program(program.kernel, program.instructions);
        for (const Job& job : read.jobs) {
            ASSERT_LT(job.core, 256);
        }
    } catch (const DeviceError&) {
        return;  // the other allowed end
    }
}

TEST(LaunchProgramTest, ReadsOrRefusesAnyWords) {
    const LaunchProgram whole = program_of(planned_launches(design("fused"), {65, 1}).back());
    for (std::size_t size = 0; size < whole.instructions.size(); ++size) {
        LaunchProgram cut = whole;
        cut.instructions.resize(size);
        EXPECT_THROW(decode_program(cut.kernel, cut.instructions), DeviceError) << size;
    }
    for (std::size_t size = 0; size < whole.kernel.size(); ++size) {
        LaunchProgram cut = whole;
        cut.kernel.resize(size);
        EXPECT_THROW(decode_program(cut.kernel, cut.instructions), DeviceError) << size;
    }
    std::mt19937 random(7);
    for (int i = 0; i < 20000; ++i) {
        LaunchProgram changed = whole;
        auto& part = random() % 2 == 0 ? changed.kernel : changed.instructions;
        part[random() % part.size()] ^= 1U << (random() % 32U);
        expect_read_or_refused(changed);
    }
}

}  // namespace
}  // namespace npu_impl
