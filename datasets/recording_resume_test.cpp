// A recording that was interrupted goes on where it was, or says why it cannot; it never becomes another one.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>
#include <thread>

#include "datasets/recording.hpp"
#include "datasets/recording_example.hpp"

namespace datasets {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

constexpr std::int64_t frames = 129;

RecordingInfo resumed_info() {
    auto info = example_info({65, 2}, 3, 2);
    info.mels = 80;
    return info;
}

constexpr WriterOptions begun{.whole_weights = true, .keep_partial = true};
constexpr WriterOptions again{.whole_weights = true, .resume = true};

// Records what is missing, at most `limit` layers. Returns how many layers it wrote.
int record(RecordingWriter& writer, const RecordingInfo& info, int limit = 1000) {
    int written = 0;
    for (int clip = 0; clip < std::ssize(info.clips); ++clip) {
        const auto& id = info.clips[static_cast<std::size_t>(clip)].id;
        for (int layer = 0; layer < info.layers; ++layer) {
            if (writer.has(id, layer)) {
                continue;
            }
            if (written == limit) {
                return written;
            }
            writer.write(example_whole_layer(info, clip, layer));
            ++written;
        }
        if (!writer.has_clip(id)) {
            writer.write_clip(id, example_clip(info, clip, frames));
        }
    }
    if (!writer.has_end()) {
        writer.write_end(example_end(info));
    }
    writer.finish();
    return written;
}

// The content of the uninterrupted recording.
std::string whole_content(const std::string& file) {
    RecordingWriter writer(file, resumed_info(), {.whole_weights = true});
    record(writer, resumed_info());
    return Recording(file).content_sha256();
}

// Reads and verifies all of it.
std::string verified_content(const std::string& file) {
    const Recording recording(file);
    static_cast<void>(recording.summaries());
    return recording.content_sha256();
}

// Why resuming is refused, or "".
std::string refusal(const std::string& file, const RecordingInfo& info, WriterOptions options = again) {
    try {
        const RecordingWriter writer(file, info, options);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

TEST(Resume, GoesOnBehindTheLastLayer) {
    const TemporaryFolder folder;
    const auto expected = whole_content(folder.file("whole.h5"));
    const auto file = folder.file("recording.h5");
    const auto info = resumed_info();
    {
        RecordingWriter writer(file, info, begun);
        EXPECT_EQ(record(writer, info, 4), 4);
    }
    EXPECT_TRUE(std::filesystem::exists(file + ".partial"));
    EXPECT_FALSE(std::filesystem::exists(file));
    {
        RecordingWriter writer(file, info, again);
        EXPECT_TRUE(writer.has("a", 0));
        EXPECT_TRUE(writer.has("b", 0));
        EXPECT_FALSE(writer.has("b", 1));
        EXPECT_TRUE(writer.has_clip("a"));
        EXPECT_FALSE(writer.has_clip("b"));
        EXPECT_FALSE(writer.has_end());
        EXPECT_THROW(writer.write(example_whole_layer(info, 0, 0)), std::invalid_argument);
        auto other = example_whole_layer(info, 1, 1);
        other.weights.fc1.bias[0] += 1.0F;
        EXPECT_THROW(writer.write(other), std::invalid_argument) << "the weights in the file are known";
        EXPECT_EQ(record(writer, info), 2);
    }
    EXPECT_EQ(verified_content(file), expected);
    EXPECT_FALSE(std::filesystem::exists(file + ".partial"));
}

TEST(Resume, BeginsWhereNothingWasLeft) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    write_bytes(file + ".partial", "");
    RecordingWriter writer(file, resumed_info(), again);
    EXPECT_FALSE(writer.has("a", 0));
    EXPECT_EQ(record(writer, resumed_info()), 6);
    EXPECT_NO_THROW(verified_content(file));
}

TEST(Resume, WithoutItTheRecordingBeginsAnew) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto info = resumed_info();
    {
        RecordingWriter writer(file, info, begun);
        record(writer, info, 2);
    }
    RecordingWriter writer(file, info, begun);
    EXPECT_FALSE(writer.has("a", 0));
}

TEST(Resume, OfAnotherRecordingNamesTheAttribute) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto partial = file + ".partial";
    const auto info = resumed_info();
    {
        RecordingWriter writer(file, info, begun);
        record(writer, info, 2);
    }
    const auto bytes = read_bytes(partial);
    const auto refuses = [&](const std::string& reason, auto change, WriterOptions options = again) {
        auto changed = info;
        change(changed);
        EXPECT_EQ(
            refusal(file, changed, options),
            fmt::format("{}: /: cannot be resumed: {}; record again without --resume, or as it was begun",
                        partial, reason));
        EXPECT_TRUE(read_bytes(partial) == bytes) << "a refusal changes nothing";
    };
    const std::string other(64, 'c');
    refuses(fmt::format("attribute model_sha256 is \"{}\" there and \"{}\" now", info.model_sha256, other),
            [&](RecordingInfo& changed) { changed.model_sha256 = other; });
    refuses("attribute n_ctx is \"65\" there and \"64\" now", [](RecordingInfo& changed) {
        changed.context = 64;
        changed.clips[0].valid_frames = changed.clips[1].valid_frames = 64;
    });
    refuses("attribute n_head is \"2\" there and \"3\" now",
            [](RecordingInfo& changed) { changed.heads = 3; });
    refuses("attribute n_layer is \"3\" there and \"4\" now",
            [](RecordingInfo& changed) { changed.layers = 4; });
    refuses("attribute layers is \"0, 1, 2\" there and \"0, 2\" now", [](RecordingInfo& changed) {
        changed.recorded_layers = {0, 2};
    });
    refuses("attribute n_mels is \"80\" there and \"128\" now",
            [](RecordingInfo& changed) { changed.mels = 128; });
    refuses("attribute store is \"f32\" there and \"bf16\" now", [](RecordingInfo&) {},
            {.store = DType::bf16, .whole_weights = true, .resume = true});
    refuses("attribute whole_weights is \"1\" there and \"0\" now", [](RecordingInfo&) {}, {.resume = true});
    refuses(
        "a clip is \"b (2.5 s, 65 frames, audio unnamed)\" there and \"b (2.5 s, 65 frames, audio "
        "cccccccccccc)\" now",
        [&](RecordingInfo& changed) { changed.clips[1].audio_sha256 = other; });
    refuses("a clip is \"absent\" there and \"c (3 s, 65 frames, audio unnamed)\" now",
            [&](RecordingInfo& changed) {
                changed.clips.push_back({"c", 3, 65});
            });
    EXPECT_EQ(refusal(file, info), "") << "the same is resumed";
}

TEST(Resume, OfADamagedTemporaryIsRefusedAndLeavesIt) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto partial = file + ".partial";
    const auto info = resumed_info();
    {
        RecordingWriter writer(file, info, begun);
        record(writer, info, 3);
    }
    const auto whole = read_bytes(partial);
    const auto expected = whole_content(folder.file("whole.h5"));
    std::mt19937 random(20261125);
    int refused = 0;
    constexpr int trials = 40;
    for (int i = 0; i < trials; ++i) {
        auto bytes = whole;
        const auto position = random() % (i % 2 == 0 ? bytes.size() : 32768);
        if (i % 6 == 0) {
            bytes.resize(position);
        } else {
            bytes[position] = static_cast<char>(bytes[position] ^ (1 << (random() % 8)));
        }
        write_bytes(partial, bytes);
        if (bytes.empty()) {
            continue;
        }
        try {
            RecordingWriter writer(file, info, again);
            record(writer, info);
            EXPECT_EQ(verified_content(file), expected) << "trial " << i << ", position " << position;
        } catch (const ReadError& error) {
            ++refused;
            EXPECT_THAT(error.what(), HasSubstr("cannot be resumed: "));
            EXPECT_THAT(error.what(), HasSubstr("record again without --resume"));
            EXPECT_TRUE(read_bytes(partial) == bytes) << "trial " << i;
        }
    }
    EXPECT_GT(refused, trials / 3) << "the damage must be damage";
}

// One writer at a time, in this process and in another, which is named.
TEST(Resume, TellsWhoHasTheTemporary) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const RecordingWriter writer(file, resumed_info(), begun);
    const auto busy =
        fmt::format("{}: process {} is recording it; wait for its end, or name another file", file, getpid());
    EXPECT_EQ(refusal(file, resumed_info(), again), busy);
    EXPECT_EQ(refusal(file, resumed_info(), {}), busy);
}

TEST(Resume, AfterAFullDisk) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto expected = whole_content(folder.file("whole.h5"));
    const auto info = resumed_info();
    const pid_t child = fork();
    if (child == 0) {
        const rlimit limit{1800000, 1800000};  // stands for a full disk
        setrlimit(RLIMIT_FSIZE, &limit);
        std::signal(SIGXFSZ, SIG_IGN);
        try {
            RecordingWriter writer(file, info, begun);
            record(writer, info);
        } catch (const std::exception& error) {
            const std::string line = error.what();
            _exit(line.starts_with(file + ": /") && line.ends_with(": File too large") ? 0 : 1);
        }
        _exit(2);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_FALSE(std::filesystem::exists(file));
    RecordingWriter writer(file, info, again);
    EXPECT_TRUE(writer.has("a", 0));
    EXPECT_LT(record(writer, info), 6);
    EXPECT_EQ(verified_content(file), expected);
}

[[noreturn]] void record_and_leave(const std::string& file, WriterOptions options) {
    try {
        RecordingWriter writer(file, resumed_info(), options);
        record(writer, resumed_info());
    } catch (const std::exception&) {
        _exit(1);
    }
    _exit(0);
}

// Starts a recording in a child and kills it after that time.
void record_until_killed(const std::string& file, WriterOptions options, std::chrono::microseconds time) {
    const pid_t child = fork();
    if (child == 0) {
        record_and_leave(file, options);
    }
    std::this_thread::sleep_for(time);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
}

std::chrono::microseconds time_to_record(const std::string& file) {
    const auto start = std::chrono::steady_clock::now();
    whole_content(file);
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
}

// Whenever it is killed, once or twice: what follows is the same recording, or the refusal line.
TEST(Resume, AfterAKillAtAnyMoment) {
    const TemporaryFolder folder;
    const auto expected = whole_content(folder.file("whole.h5"));
    const auto file = folder.file("recording.h5");
    const auto time = time_to_record(folder.file("timed.h5"));
    std::mt19937_64 random(std::random_device{}());
    int resumed = 0;
    int refused = 0;
    int finished = 0;
    int kept = 0;  // layers that were not computed again
    constexpr int kills = 60;
    for (int i = 0; i < kills; ++i) {
        std::filesystem::remove(file);
        std::filesystem::remove(file + ".partial");
        record_until_killed(file, begun, std::chrono::microseconds(random() % std::uint64_t(time.count())));
        if (i % 3 == 0) {
            record_until_killed(file, again,
                                std::chrono::microseconds(random() % std::uint64_t(time.count())));
        }
        if (std::filesystem::exists(file)) {
            ++finished;
            EXPECT_EQ(verified_content(file), expected) << i;
            continue;
        }
        try {
            RecordingWriter writer(file, resumed_info(), again);
            kept += 6 - record(writer, resumed_info());
            ++resumed;
        } catch (const ReadError& error) {
            ++refused;
            EXPECT_THAT(error.what(), EndsWith("; record again without --resume"));
            continue;
        }
        EXPECT_EQ(verified_content(file), expected) << i;
    }
    fmt::print("of {} kills {} were resumed, {} refused, {} came too late\n", kills, resumed, refused,
               finished);
    EXPECT_GT(resumed, refused) << "only a kill within a flush may lose the recording";
    EXPECT_GT(kept, resumed / 2) << "layers that were finished are kept";
}

}  // namespace
}  // namespace datasets
