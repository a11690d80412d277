// What goes into a recording comes out of it, bit for bit, here and in h5py; and a writer leaves no trace
// when it fails. What is refused: recording_refusal_test.cpp.
#include "datasets/recording.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <limits>
#include <memory>
#include <sstream>
#include <thread>
#include <tuple>

#include "datasets/bf16.hpp"
#include "datasets/recording_example.hpp"
#include "datasets/recording_schema.hpp"
#include "datasets/recording_trial.hpp"
#include "datasets/sha256.hpp"

namespace datasets {
namespace {

using testing::HasSubstr;

constexpr auto python = "/usr/bin/python3";  // Debian's, which has python3-h5py

// Output of a shell command, and whether it succeeded.
struct Output {
    std::string text;
    int status = -1;
};

Output run(const std::string& command) {
    Output output;
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) {
        return output;
    }
    std::array<char, 4096> piece{};
    while (const std::size_t size = std::fread(piece.data(), 1, piece.size(), pipe)) {
        output.text.append(piece.data(), size);
    }
    output.status = pclose(pipe);
    return output;
}

bool has_h5py() {
    return run(std::string(python) + " -c 'import h5py'").status == 0;
}

Output run_python(const TemporaryFolder& folder, const std::string& program) {
    const auto script = folder.file("program.py");
    write_bytes(script, "import sys\nimport h5py\nimport numpy\n" + program);
    return run(std::string(python) + " " + script);
}

// The bits of every tensor of a layer, in schema order; an absent tensor is empty.
std::vector<std::vector<std::uint32_t>> bits_of(const LayerCase& layer, DType store = DType::f32) {
    std::vector<std::vector<std::uint32_t>> bits;
    for (const auto specs : {activation_specs(), weight_specs()}) {
        for (const auto& spec : specs) {
            bits.emplace_back();
            if (const auto* tensor = spec.find(layer); tensor != nullptr) {
                for (const float value : *tensor) {
                    bits.back().push_back(std::bit_cast<std::uint32_t>(
                        store == DType::bf16 ? round_to_bf16(value, Rounding::nearest_even) : value));
                }
            }
        }
    }
    return bits;
}

class RoundTrip : public testing::TestWithParam<std::tuple<int, int, DType>> {};

TEST_P(RoundTrip, KeepsEveryBit) {
    const auto [context, heads, store] = GetParam();
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const int layers = context == 65 ? 2 : 1;
    const auto info = example_info({context, heads}, layers, 2);
    write_example(file, info, store);

    const Recording recording(file);
    EXPECT_EQ(recording.file(), file);
    for (int clip = 0; clip < 2; ++clip) {
        for (int layer = 0; layer < layers; ++layer) {
            const auto written = example_layer(info, clip, layer);
            const auto read = recording.layer(written.clip, layer);
            EXPECT_EQ(read.clip, written.clip);
            EXPECT_EQ(read.layer, layer);
            EXPECT_EQ(read.shape, info.shape());
            EXPECT_EQ(read.stored, store);
            EXPECT_TRUE(read.weights.attention.key.bias.empty());
            EXPECT_EQ(read.recorded.size(), 5U);
            EXPECT_EQ(bits_of(read), bits_of(written, store));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, RoundTrip,
                         testing::Combine(testing::Values(1, 63, 64, 65, 127, 300), testing::Values(6, 8),
                                          testing::Values(DType::f32, DType::bf16)),
                         [](const auto& test) {
                             return fmt::format("rows_{}_heads_{}_{}", std::get<0>(test.param),
                                                std::get<1>(test.param),
                                                dtype_label(std::get<2>(test.param)));
                         });

TEST(Recording, TakesEveryWhisperSize) {
    const TemporaryFolder folder;
    for (const auto& [heads, layers] : {std::pair{12, 2}, {20, 1}, {1, 32}}) {
        const auto file = folder.file("recording.h5");
        const auto info = example_info({3, heads}, layers, 1);
        write_example(file, info, DType::f32, Holds::input_only);
        const Recording recording(file);
        EXPECT_EQ(recording.info().shape(), info.shape());
        EXPECT_EQ(bits_of(recording.layer("a", layers - 1)),
                  bits_of(example_layer(info, 0, layers - 1, Holds::input_only)));
    }
}

TEST(Recording, KeepsSpecialValuesAsFarAsTheDtypeGoes) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto info = example_info({1, 6}, 1, 1);
    auto layer = example_layer(info, 0, 0);
    layer.input[0] = -0.0F;
    layer.input[1] = std::numeric_limits<float>::denorm_min();
    layer.input[2] = std::numeric_limits<float>::max();
    layer.input[3] = 1.0F + 0x1p-8F;  // a tie between two bf16: HDF5's own conversion would round it up
    {
        RecordingWriter writer(file, info);
        writer.write(layer);
        writer.finish();
    }
    EXPECT_EQ(bits_of(Recording(file).layer("a", 0)), bits_of(layer));

    layer.input[2] = 0x1.FEp127F;  // the largest bf16
    {
        RecordingWriter writer(file, info, {.store = DType::bf16});
        writer.write(layer);
        writer.finish();
    }
    const auto read = Recording(file).layer("a", 0);
    EXPECT_TRUE(std::signbit(read.input[0]));
    EXPECT_EQ(read.input[1], 0.0F);
    EXPECT_EQ(read.input[2], layer.input[2]);
    EXPECT_EQ(read.input[3], 1.0F);
}

TEST(Recording, KeepsProvenance) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto written = example_info({65, 6}, 1, 2);
    write_example(file, written);
    const Recording recording(file);
    const auto& read = recording.info();
    EXPECT_EQ(read.source, written.source);
    EXPECT_EQ(read.producer, written.producer);
    EXPECT_EQ(read.producer_version, written.producer_version);
    EXPECT_EQ(read.created_utc, written.created_utc);
    EXPECT_EQ(read.model_id, written.model_id);
    EXPECT_EQ(read.model_sha256, written.model_sha256);
    EXPECT_EQ(read.recipe, written.recipe);
    EXPECT_EQ(read.blas, written.blas);
    EXPECT_EQ(read.seed, written.seed);
    EXPECT_EQ(read.context, 65);
    EXPECT_EQ(read.heads, 6);
    EXPECT_EQ(read.layers, 1);
    ASSERT_EQ(read.clips.size(), 2U);
    EXPECT_EQ(read.clips[1].id, "b");
    EXPECT_EQ(read.clips[1].audio_seconds, 2.5);
    EXPECT_EQ(read.clips[1].valid_frames, 65);
}

TEST(Recording, FillsInTheTimeOfWriting) {
    const TemporaryFolder folder;
    auto info = example_info({1, 6}, 1, 1);
    info.created_utc.clear();
    write_example(folder.file("recording.h5"), info);
    EXPECT_THAT(Recording(folder.file("recording.h5")).info().created_utc,
                testing::MatchesRegex("20..-..-..T..:..:..Z"));
}

TEST(Recording, ActivationsOtherThanTheInputAreOptional) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto info = example_info({65, 6}, 1, 1);
    write_example(file, info, DType::f32, Holds::input_only);
    const auto layer = Recording(file).layer("a", 0);
    EXPECT_TRUE(layer.recorded.empty());
    EXPECT_TRUE(layer.row_max.empty());
    EXPECT_TRUE(layer.row_log_sum_exp.empty());
}

TEST(Recording, ContentHashFollowsContentOnly) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    auto info = example_info({65, 6}, 1, 1);
    const auto hash_after = [&](auto change, DType store = DType::f32) {
        auto changed_info = info;
        auto layer = example_layer(info, 0, 0);
        change(changed_info, layer);
        RecordingWriter writer(file, changed_info, {.store = store});
        writer.write(layer);
        writer.finish();
        return Recording(file).content_sha256();
    };
    const auto original = hash_after([](auto&, auto&) {});
    EXPECT_THAT(original, testing::MatchesRegex("[0-9a-f]{64}"));
    EXPECT_EQ(hash_after([](auto&, auto&) {}), original);
    EXPECT_EQ(hash_after([](auto& changed, auto&) { changed.created_utc = "2027-01-01T00:00:00Z"; }),
              original);
    EXPECT_NE(hash_after([](auto&, auto& layer) { layer.input[7] = std::nextafter(layer.input[7], 2.0F); }),
              original);
    EXPECT_NE(hash_after([](auto&, auto& layer) { layer.recorded.erase(Op::key); }), original);
    EXPECT_NE(
        hash_after([](auto&, auto& layer) { std::swap(layer.recorded[Op::key], layer.recorded[Op::value]); }),
        original);
    EXPECT_NE(hash_after([](auto&, auto&) {}, DType::bf16), original);
    EXPECT_NE(hash_after([](auto& changed, auto& layer) { changed.clips[0].id = layer.clip = "other"; }),
              original);
}

TEST(Recording, EqualContentGivesEqualBytes) {
    const TemporaryFolder folder;
    const auto info = example_info({65, 6}, 1, 1);
    write_example(folder.file("one.h5"), info);
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // HDF5's time stamps count seconds
    write_example(folder.file("two.h5"), info);
    EXPECT_TRUE(read_bytes(folder.file("one.h5")) == read_bytes(folder.file("two.h5")));
}

TEST(Recording, SummariesTellWhatTheFileHolds) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto info = example_info({65, 6}, 2, 2);
    write_example(file, info, DType::bf16);
    const auto summaries = Recording(file).summaries();
    ASSERT_EQ(summaries.size(), 2U * 2U * 8U + 2U * 7U);
    EXPECT_TRUE(std::ranges::is_sorted(summaries, {}, &DatasetSummary::object));

    const auto& summary = summaries[6];
    EXPECT_EQ(summary.object, "/clips/a/encoder/layer_00/attn/x");
    EXPECT_EQ(summary.dims, (std::vector<std::int64_t>{65, 384}));
    EXPECT_EQ(summary.dtype, DType::bf16);
    std::vector<bf16> stored;
    double squares = 0;
    float min = 2;
    float max = -2;
    for (const float value : example_layer(info, 0, 0).input) {
        stored.push_back(to_bf16(value, Rounding::nearest_even));
        min = std::min(min, to_float(stored.back()));
        max = std::max(max, to_float(stored.back()));
        squares += std::pow(double{to_float(stored.back())}, 2);
    }
    EXPECT_EQ(summary.sha256, sha256_hex(std::as_bytes(std::span(stored))));
    EXPECT_EQ(summary.min, min);
    EXPECT_EQ(summary.max, max);
    EXPECT_NEAR(summary.rms, std::sqrt(squares / static_cast<double>(stored.size())), 1e-12);
}

TEST(Recording, NamesTheClipsAndLayersItHas) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    write_example(file, example_info({1, 6}, 2, 2), DType::f32, Holds::input_only);
    const Recording recording(file);
    const auto message = [&](const std::string& clip, int layer) {
        try {
            static_cast<void>(recording.layer(clip, layer));
        } catch (const ReadError& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_EQ(message("c", 0), file + ": /clips/c: is not in the file, which holds a, b");
    EXPECT_EQ(message("a", 2), file + ": /clips/a: layer 2 is not in the file, which holds 0..1");
    EXPECT_EQ(message("a", -1), file + ": /clips/a: layer -1 is not in the file, which holds 0..1");
}

// Files, groups, datasets and attributes that HDF5 has open in this process.
ssize_t open_objects() {
    return H5Fget_obj_count(hid_t{H5F_OBJ_ALL}, H5F_OBJ_ALL);
}

TEST(Recording, ClosesWhatItOpens) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto info = example_info({1, 6}, 1, 1);
    {
        write_example(file, info, DType::bf16);
        EXPECT_EQ(open_objects(), 0);
        const Recording recording(file);
        static_cast<void>(recording.layer("a", 0));
        static_cast<void>(recording.summaries());
        EXPECT_THROW(static_cast<void>(recording.layer("b", 0)), ReadError);
        EXPECT_THROW(Recording(folder.path().string()), ReadError);
        EXPECT_EQ(open_objects(), 1) << "the file itself";
        const RecordingWriter unfinished(file, info);
    }
    EXPECT_EQ(open_objects(), 0);
}

TEST(Recording, CanBeMoved) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    write_example(file, example_info({1, 6}, 1, 1), DType::f32, Holds::input_only);
    Recording one(file);
    Recording two(std::move(one));
    EXPECT_EQ(two.layer("a", 0).input.size(), 384U);
}

// An archive may be compressed; unknown groups beside the layout may hold anything.
TEST(Recording, ReadsCompressedFilesAndIgnoresGroupsOfOthers) {
    if (!has_h5py()) {
        GTEST_SKIP() << "needs python3-h5py";
    }
    const TemporaryFolder folder;
    const auto info = example_info({127, 6}, 1, 1);
    write_example(folder.file("recording.h5"), info);
    const auto output = run_python(folder, R"(
with h5py.File(sys.path[0] + "/recording.h5", "r+") as file:
    attention = file["clips/a/encoder/layer_00/attn"]
    values, attributes = attention["x"][...], dict(attention["x"].attrs)
    del attention["x"]
    x = attention.create_dataset("x", data=values, chunks=(10, 384), compression=4,
                                 shuffle=True, fletcher32=True)
    x.attrs.update(attributes)
    file.create_dataset("runs/night/anything", data=[1, 2, 3])
    file["clips/a/encoder/layer_00/cross/h"] = 1.0
    file["clips/a/transcript"] = [1.0]
    file["weights/stem/anything"] = [1.0]
)");
    ASSERT_EQ(output.status, 0) << output.text;
    EXPECT_EQ(bits_of(Recording(folder.file("recording.h5")).layer("a", 0)),
              bits_of(example_layer(info, 0, 0)));
}

TEST(Interoperation, H5pyReadsBothDtypesAsNumbers) {
    if (!has_h5py()) {
        GTEST_SKIP() << "needs python3-h5py";
    }
    const TemporaryFolder folder;
    const auto info = example_info({65, 6}, 1, 1);
    auto layer = example_layer(info, 0, 0);
    layer.input[0] = -0.0F;
    layer.input[1] = 0x1p-130F;  // a subnormal bf16
    layer.input[2] = 0x1.FEp127F;
    layer.input[3] = 1.0F + 0x1p-8F;
    for (const DType store : {DType::f32, DType::bf16}) {
        RecordingWriter writer(folder.file("recording.h5"), info, {.store = store});
        writer.write(layer);
        writer.finish();
        const auto output = run_python(folder, R"(
with h5py.File(sys.path[0] + "/recording.h5", "r") as file:
    assert tuple(file.attrs["schema_version"]) == (1, 0) and file.attrs["complete"] == 1
    assert file.attrs["source"] == b"synthetic" and file.attrs["audio_seconds"] == 1.5
    x = file["clips/a/encoder/layer_00/attn/x"]
    assert x.shape == (65, 384) and x.dtype == numpy.float32 and x.fletcher32, (x.shape, x.dtype)
    print(*(value.hex() for value in x[...].astype(numpy.float64).ravel()[:384].tolist()))
)");
        ASSERT_EQ(output.status, 0) << output.text;
        std::istringstream words(output.text);
        for (std::size_t i = 0; i < 384; ++i) {
            std::string word;
            ASSERT_TRUE(words >> word);
            const float value =
                store == DType::bf16 ? round_to_bf16(layer.input[i], Rounding::nearest_even) : layer.input[i];
            EXPECT_EQ(std::bit_cast<std::uint64_t>(std::strtod(word.c_str(), nullptr)),
                      std::bit_cast<std::uint64_t>(double{value}))
                << i << " " << word;
        }
    }
}

TEST(Interoperation, H5dumpPrintsBf16AsDecimals) {
    if (run("h5dump --version").status != 0) {
        GTEST_SKIP() << "needs hdf5-tools";
    }
    const TemporaryFolder folder;
    const auto info = example_info({1, 6}, 1, 1);
    auto layer = example_layer(info, 0, 0);
    layer.input[0] = 1.5F;
    layer.input[1] = -0.333F;  // -0.33203125 in bf16
    layer.input[2] = 3.14159274F;
    RecordingWriter writer(folder.file("recording.h5"), info, {.store = DType::bf16});
    writer.write(layer);
    writer.finish();
    const auto output =
        run("h5dump -A 0 -d /clips/a/encoder/layer_00/attn/x -s 0,0 -c 1,3 " + folder.file("recording.h5"));
    EXPECT_THAT(output.text, HasSubstr("16-bit little-endian floating-point"));
    EXPECT_THAT(output.text, HasSubstr("(0,0): 1.5, -0.332031, 3.14062"));
}

TEST(Interoperation, ReadsWhatAShortPythonProgramWrites) {
    if (!has_h5py()) {
        GTEST_SKIP() << "needs python3-h5py";
    }
    const TemporaryFolder folder;
    const auto file = folder.file("python.h5");
    const auto output =
        run(std::string(python) + " " + DATASETS_FOLDER + "/write_minimal_recording.py " + file);
    ASSERT_EQ(output.status, 0) << output.text;
    const Recording recording(file);
    EXPECT_EQ(recording.info().source, "recorded");
    EXPECT_EQ(recording.info().shape(), (LayerShape{65, 6}));
    ASSERT_EQ(recording.info().clips.size(), 1U);
    EXPECT_EQ(recording.info().clips[0].id, "example");
    EXPECT_EQ(recording.info().clips[0].audio_seconds, 1.3);
    const auto expect_example = [](const std::vector<float>& tensor, std::size_t size, std::size_t salt) {
        ASSERT_EQ(tensor.size(), size);
        for (std::size_t i = 0; i < size; ++i) {
            ASSERT_EQ(tensor[i], (static_cast<float>((i + salt) % 17) - 8.0F) / 16.0F) << i;
        }
    };
    for (int index = 0; index < 2; ++index) {
        const auto layer = recording.layer("example", index);
        const auto salt = static_cast<std::size_t>(index);
        expect_example(layer.input, 65 * 384, salt);
        expect_example(layer.weights.attention.key.weight, 384 * 384, salt + 1);
        expect_example(layer.weights.attention.output.bias, 384, salt + 2);
    }
}

// What a function throws, or "".
template <typename Function>
std::string message_of(Function function) {
    try {
        function();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

TEST(RecordingWriter, LeavesTheTargetAloneUntilItIsComplete) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto partial = file + ".partial";
    const auto info = example_info({65, 6}, 1, 1);
    write_bytes(file, "the old file");
    {
        RecordingWriter writer(file, info);
        EXPECT_TRUE(std::filesystem::exists(partial));
        writer.write(example_layer(info, 0, 0));
        EXPECT_EQ(read_bytes(file), "the old file");
    }
    EXPECT_FALSE(std::filesystem::exists(partial)) << "an unfinished recording removes its temporary";
    EXPECT_EQ(read_bytes(file), "the old file");
    write_example(file, info);
    EXPECT_FALSE(std::filesystem::exists(partial));
    EXPECT_EQ(bits_of(Recording(file).layer("a", 0)), bits_of(example_layer(info, 0, 0)));
}

TEST(RecordingWriter, IsIncompleteUntilFinished) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto info = example_info({1, 6}, 1, 1);
    RecordingWriter writer(file, info);
    writer.write(example_layer(info, 0, 0));
    const auto partial = file + ".partial";
    EXPECT_THROW(Recording{partial}, ReadError);
    writer.finish();
    EXPECT_NO_THROW(Recording{file});
}

TEST(RecordingWriter, OverwritesWhatAKilledProcessLeft) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    write_bytes(file + ".partial", "left behind");
    EXPECT_NO_THROW(write_example(file, example_info({1, 6}, 1, 1)));
    EXPECT_NO_THROW(Recording{file});
}

// A second writer of the same file fails, and does not take the first one's temporary with it.
TEST(RecordingWriter, HasItsFileForItself) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto info = example_info({1, 6}, 1, 1);
    RecordingWriter writer(file, info);
    EXPECT_THROW(RecordingWriter(file, info), std::runtime_error);
    writer.write(example_layer(info, 0, 0));
    writer.finish();
    EXPECT_NO_THROW(Recording{file});
}

TEST(RecordingWriter, NamesTheFileWhenItCannotBeWritten) {
    const TemporaryFolder folder;
    const auto info = example_info({1, 6}, 1, 1);
    const auto message = [&](const std::string& file) {
        return message_of([&] { RecordingWriter(file, info); });
    };
    const auto orphan = folder.file("absent/recording.h5");
    EXPECT_EQ(message(orphan), orphan + ": cannot write into its folder: No such file or directory");
    EXPECT_EQ(message(folder.path().string()), folder.path().string() + ": is a folder; name a file");
    write_bytes(folder.file("file"), "");
    EXPECT_EQ(message(folder.file("file/recording.h5")),
              folder.file("file/recording.h5") + ": cannot write into its folder: Not a directory");
    EXPECT_THAT(message(""), HasSubstr("without a file name"));
    if (geteuid() != 0) {
        std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_read);
        EXPECT_THAT(message(folder.file("recording.h5")), HasSubstr("Permission denied"));
        std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_all);
    }
}

// The child of a fork: a limit of the file size stands for a full disk. Its exit code tells what it saw.
[[noreturn]] void write_under_limit(const std::string& file, rlim_t bytes) {
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_IGN);
    const auto message = message_of([&] { write_example(file, example_info({300, 6}, 1, 1)); });
    const bool is_one_line = message.starts_with(file + ": ") && message.ends_with(": File too large") &&
                             message.find('\n') == std::string::npos;
    std::exit(is_one_line ? 0 : 1);  // by exit, so that HDF5's own end of process takes part
}

TEST(RecordingWriter, SurvivesAFullDisk) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    for (const rlim_t bytes : {rlim_t{512}, rlim_t{40000}, rlim_t{1000000}, rlim_t{4000000}}) {
        EXPECT_EXIT(write_under_limit(file, bytes), testing::ExitedWithCode(0), "") << bytes;
        EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << bytes;
    }
}

// On a disk of its own of 1 MB, where the system allows to mount one: HDF5 lets go of the file, so that its
// blocks are free again.
TEST(RecordingWriter, FreesAFullDisk) {
    const TemporaryFolder folder;
    constexpr int not_allowed = 77;
    const auto death = died_in_trial([&] {
        const auto disk = folder.path().c_str();
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            mount("tmpfs", disk, "tmpfs", 0, "size=1m") != 0) {
            _exit(not_allowed);
        }
        const auto file = folder.file("recording.h5");
        const auto message = message_of([&] { write_example(file, example_info({300, 6}, 1, 1)); });
        const bool is_reported = message.ends_with(": No space left on device");
        const bool is_free = std::filesystem::space(disk).free >= (1U << 20U) - 8192;
        _exit(is_reported && is_free && open_objects() == 0 ? 0 : 1);
    });
    if (death == "crashes with exit code 77") {
        GTEST_SKIP() << "mounting a disk needs the rights of root";
    }
    EXPECT_EQ(death, "crashes with exit code 0") << "the child leaves by its own exit code";
}

TEST(RecordingWriter, RefusesWhatTheReaderWouldRefuse) {
    const TemporaryFolder folder;
    const auto info = example_info({65, 6}, 2, 2);
    const auto refuses_layer = [&](auto damage, DType store = DType::f32) {
        auto layer = example_layer(info, 0, 0);
        damage(layer);
        RecordingWriter writer(folder.file("recording.h5"), info, {.store = store});
        EXPECT_THROW(writer.write(layer), std::invalid_argument);
    };
    refuses_layer([](LayerCase& layer) { layer.input[5] = std::numeric_limits<float>::quiet_NaN(); });
    refuses_layer([](LayerCase& layer) { layer.row_max[5] = std::numeric_limits<float>::infinity(); });
    refuses_layer([](LayerCase& layer) { layer.input[5] = std::numeric_limits<float>::max(); }, DType::bf16);
    refuses_layer([](LayerCase& layer) { layer.input.clear(); });
    refuses_layer([](LayerCase& layer) { layer.weights.attention.output.weight.pop_back(); });
    refuses_layer([](LayerCase& layer) { layer.weights.attention.value.bias.clear(); });
    refuses_layer(
        [](LayerCase& layer) { layer.weights.attention.key.bias = layer.weights.attention.value.bias; });
    refuses_layer([](LayerCase& layer) { layer.recorded[Op::query].pop_back(); });
    refuses_layer([](LayerCase& layer) { layer.recorded[Op::scores] = {1.0F}; });
    refuses_layer([](LayerCase& layer) { layer.clip = "c"; });
    refuses_layer([](LayerCase& layer) { layer.layer = 2; });
    refuses_layer([](LayerCase& layer) { layer.shape.context = 64; });
    const auto refuses_info = [&](auto damage) {
        auto damaged = info;
        damage(damaged);
        EXPECT_THROW(RecordingWriter(folder.file("recording.h5"), damaged), std::invalid_argument);
    };
    refuses_info([](RecordingInfo& damaged) { damaged.context = 0; });
    refuses_info([](RecordingInfo& damaged) { damaged.heads = 65; });
    refuses_info([](RecordingInfo& damaged) { damaged.layers = 129; });
    refuses_info([](RecordingInfo& damaged) { damaged.source = "guessed"; });
    refuses_info([](RecordingInfo& damaged) { damaged.model_id = "two\nlines"; });
    refuses_info([](RecordingInfo& damaged) { damaged.clips.clear(); });
    refuses_info([](RecordingInfo& damaged) { damaged.clips[1].id = "a"; });
    refuses_info([](RecordingInfo& damaged) { damaged.clips[1].id = "a/b"; });
    refuses_info([](RecordingInfo& damaged) { damaged.clips[1].valid_frames = 66; });
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(RecordingWriter, RefusesMissingDoubledAndContradictingLayers) {
    const TemporaryFolder folder;
    const auto info = example_info({1, 6}, 2, 2);
    RecordingWriter writer(folder.file("recording.h5"), info);
    writer.write(example_layer(info, 0, 0));
    EXPECT_THROW(writer.write(example_layer(info, 0, 0)), std::invalid_argument);
    auto other_weights = example_layer(info, 1, 0);
    other_weights.weights.attention.query.weight[3] += 1.0F;
    EXPECT_THROW(writer.write(other_weights), std::invalid_argument);
    EXPECT_THROW(writer.finish(), std::logic_error);
}

}  // namespace
}  // namespace datasets
