// Candidates: what was stored is what is read, whichever way another program stores it; whatever is not of
// the schema is refused in one line that names file, object and reason.
#include "datasets/candidate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <random>

#include "datasets/candidate_example.hpp"
#include "datasets/recording_example.hpp"

namespace datasets {
namespace {

using testing::HasSubstr;

constexpr LayerShape shape{67, 2};

// A recording of two clips "a" and "b" of two layers, and candidates of it.
class Candidates : public testing::Test {
protected:
    Candidates() : recording_(write()) {}

    ExampleCandidate open(std::string_view input = "chained", std::string_view arithmetic = "unfused") const {
        return {folder_.file("candidate.h5"), recording_.content_sha256(), input, arithmetic};
    }

    // The line of the refusal behind the file's name, of a candidate that `change` was done to.
    std::string refusal(const std::function<void(ExampleCandidate&)>& change) const {
        auto example = open();
        example.add("/clips/a/layer_0/query", {shape.context, shape.width()}, tensor(shape.width(), 1));
        change(example);
        example.close();
        return refusal_of(example.name());
    }

    std::string refusal_of(const std::string& file) const {
        try {
            const Candidate candidate(file, recording_);
        } catch (const ReadError& error) {
            const std::string text = error.what();
            EXPECT_EQ(text.find('\n'), std::string::npos) << text;
            EXPECT_TRUE(text.starts_with(file + ": ")) << text;
            return text.substr(std::min(text.size(), file.size() + 2));
        }
        ADD_FAILURE() << "was not refused";
        return {};
    }

    static std::vector<float> tensor(std::int64_t columns, int seed, std::int64_t planes = 1) {
        std::vector<float> values;
        fill_example(values, planes * shape.context * columns, seed);
        return values;
    }

    TemporaryFolder folder_;
    Recording recording_;

private:
    std::string write() {
        const auto file = folder_.file("recording.h5");
        write_example(file, example_info(shape, 2, 2));
        return file;
    }
};

TEST_F(Candidates, AreReadAsTheyWereStored) {
    const auto rows = tensor(shape.width(), 1);
    const auto squares = tensor(shape.context, 2, shape.heads);
    const std::vector<std::int64_t> row_dims{shape.context, shape.width()};
    const std::vector<std::int64_t> square_dims{shape.heads, shape.context, shape.context};
    for (const ExampleStore store : {ExampleStore::f32, ExampleStore::bf16, ExampleStore::bf16_in_uint16,
                                     ExampleStore::checked, ExampleStore::deflated}) {
        auto example = open("isolated", "");
        example.add("/clips/a/layer_0/query", row_dims, rows, store);
        example.add("/clips/b/layer_01/scores", square_dims, squares, store);
        example.close();
        const Candidate candidate(example.name(), recording_);
        EXPECT_EQ(candidate.info().runner, "example");
        EXPECT_EQ(candidate.info().feed, Feed::isolated);
        EXPECT_EQ(candidate.info().arithmetic, "");
        EXPECT_FALSE(candidate.info().launches.has_value());
        EXPECT_EQ(candidate.layers("a"), std::vector{0});
        EXPECT_EQ(candidate.layers("b"), std::vector{1});
        EXPECT_EQ(candidate.ops("a", 0), std::vector{Op::query});
        EXPECT_TRUE(candidate.ops("a", 1).empty());
        const bool halved = store == ExampleStore::bf16 || store == ExampleStore::bf16_in_uint16;
        const auto expected = [&](float value) {
            return halved ? round_to_bf16(value, Rounding::nearest_even) : value;
        };
        const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
        std::vector<float> all(rows.size());
        candidate.read("a", 0, Op::query, {-1, 0, shape.context}, all);
        for (std::size_t i = 0; i < all.size(); ++i) {
            ASSERT_EQ(all[i], expected(rows[i])) << i;
        }
        std::vector<float> head(3 * 64);
        candidate.read("a", 0, Op::query, {1, 64, 3}, head);
        for (std::int64_t i = 0; i < 3 * 64; ++i) {
            ASSERT_EQ(head[at(i)], expected(rows[at((64 + i / 64) * shape.width() + 64 + i % 64)])) << i;
        }
        std::vector<float> slab(at(64 * shape.context));
        candidate.read("b", 1, Op::scores, {1, 0, 64}, slab);
        for (std::int64_t i = 0; i < std::ssize(slab); ++i) {
            ASSERT_EQ(slab[at(i)], expected(squares[at(shape.context * shape.context + i)])) << i;
        }
        EXPECT_THROW(candidate.read("a", 0, Op::key, {-1, 0, shape.context}, all), ReadError);
    }
}

// NaN is a result like others: the judge finds it.
TEST_F(Candidates, MayHoldValuesThatAreNotFinite) {
    auto values = tensor(shape.width(), 1);
    values[5] = std::numeric_limits<float>::quiet_NaN();
    values[6] = -std::numeric_limits<float>::infinity();
    auto example = open();
    example.add("/clips/a/layer_0/output", {shape.context, shape.width()}, values);
    write_text(example.id(), "device", "npu1, driver 2.18");
    write_integer(example.id(), "launches", 17);
    example.close();
    const Candidate candidate(example.name(), recording_);
    EXPECT_EQ(candidate.info().device, "npu1, driver 2.18");
    EXPECT_EQ(candidate.info().launches, 17);
    std::vector<float> row(static_cast<std::size_t>(shape.width()));
    candidate.read("a", 0, Op::output, {-1, 0, 1}, row);
    EXPECT_TRUE(std::isnan(row[5]));
    EXPECT_TRUE(std::isinf(row[6]));
}

TEST_F(Candidates, OfAnotherSchemaOrRecordingAreRefused) {
    const auto replace = [](const char* name, std::string_view value) {
        return [=](ExampleCandidate& example) {
            H5Adelete(example.id(), name);
            write_text(example.id(), name, value);
        };
    };
    const auto remove = [](const char* name) {
        return [=](ExampleCandidate& example) { H5Adelete(example.id(), name); };
    };
    EXPECT_EQ(refusal(remove("schema")),
              "/: attribute schema is missing; write_candidate.py shows how to make one");
    EXPECT_THAT(refusal(replace("schema", "something")),
                HasSubstr("attribute schema is \"something\" instead of \"npu-attention-candidate\""));
    EXPECT_THAT(refusal_of(recording_.file()), HasSubstr("this is a recording"));
    EXPECT_EQ(refusal([](ExampleCandidate& example) {
                  H5Adelete(example.id(), "schema_version");
                  write_integers(example.id(), "schema_version", {2, 0});
              }),
              "/: attribute schema_version is 2.0; this program reads 1.0");
    EXPECT_EQ(refusal(replace("recording_sha256", std::string(64, 'b'))),
              "/: was computed from the recording with content SHA-256 bbbbbbbbbbbb..., not from this one, "
              "which has " +
                  recording_.content_sha256().substr(0, 12) + "...");
    EXPECT_THAT(refusal(replace("recording_sha256", "B")), HasSubstr("is not 64 lower-case hexadecimal"));
    EXPECT_THAT(refusal(remove("recording_sha256")), HasSubstr("attribute recording_sha256 is missing"));
    EXPECT_THAT(refusal(remove("runner")), HasSubstr("attribute runner is missing"));
    EXPECT_THAT(refusal(replace("runner", "two\nlines")), HasSubstr("runner holds a control character"));
    EXPECT_THAT(refusal(replace("runner", std::string(301, 'x'))),
                HasSubstr("has 301 bytes, a line has at most"));
    EXPECT_THAT(refusal(remove("input")), HasSubstr("attribute input is missing"));
    EXPECT_EQ(refusal(replace("input", "both")), "/: attribute input is \"both\", not isolated or chained");
    EXPECT_THAT(refusal([](ExampleCandidate& example) { write_integer(example.id(), "launches", -1); }),
                HasSubstr("attribute launches is -1"));
    EXPECT_THAT(refusal([](ExampleCandidate& example) {
                    write_unsigned(example.id(), "launches", std::numeric_limits<std::uint64_t>::max());
                }),
                HasSubstr("attribute launches is 9223372036854775807"));
}

TEST_F(Candidates, WithUnknownNamesAreRefused) {
    const std::vector<std::int64_t> dims{shape.context, shape.width()};
    const auto values = tensor(shape.width(), 1);
    const auto with = [&](const std::string& object) {
        return refusal([&](ExampleCandidate& example) { example.add(object, dims, values); });
    };
    EXPECT_THAT(
        with("/clips/a/layer_0/q"),
        HasSubstr("/clips/a/layer_0/q: is unknown here; known are attention_norm, query, key, value"));
    EXPECT_THAT(with("/clips/a/layer_0/attention_residual"), HasSubstr("is unknown here"));
    EXPECT_EQ(with("/clips/c/layer_0/query"), "/clips/c: is no clip of the recording, which holds a, b");
    EXPECT_EQ(with("/clips/a/layer_2/query"),
              "/clips/a/layer_2: is no layer of the recording, which holds 0, 1");
    EXPECT_EQ(with("/clips/a/layer_00/key"), "/clips/a/layer_00: is there twice: layer 0");
    EXPECT_THAT(with("/clips/a/layer_/query"), HasSubstr("is unknown here; known are layer_0, layer_1"));
    EXPECT_THAT(with("/clips/a/block_0/query"), HasSubstr("is unknown here"));
    EXPECT_EQ(with("/weights/query"), "/weights: is unknown here; known is clips");
    EXPECT_EQ(refusal([](ExampleCandidate& example) {
                  H5Ldelete(example.id(), "/clips/a/layer_0/query", H5P_DEFAULT);
              }),
              "/clips: holds no tensor; write_candidate.py shows how to make one");
}

TEST_F(Candidates, OfOtherShapesAndTypesAreRefused) {
    const auto with = [&](const std::vector<std::int64_t>& dims, std::string_view name = "key") {
        return refusal([&](ExampleCandidate& example) {
            std::int64_t elements = 1;
            for (const std::int64_t dim : dims) {
                elements *= dim;
            }
            std::vector<float> values(static_cast<std::size_t>(elements), 1.0F);
            example.add("/clips/a/layer_0/" + std::string(name), dims, values);
        });
    };
    EXPECT_EQ(with({33, 128}),
              "/clips/a/layer_0/key: has the shape [33, 128]; the recording asks for time,channel [67, 128]")
        << "half the rows";
    EXPECT_THAT(with({2, 67, 64}), HasSubstr("has the shape [2, 67, 64]"));
    EXPECT_THAT(with({67, 128}, "fc1"), HasSubstr("asks for time,4 channel [67, 512]"));
    EXPECT_THAT(with({67, 67}, "scores"), HasSubstr("head,query time,key time [2, 67, 67]"));
    const auto typed = [&](hid_t type, const char* label) {
        return refusal([&](ExampleCandidate& example) {
            const std::array<hsize_t, 2> dims{67, 128};
            const Handle space(H5Screate_simple(2, dims.data(), nullptr), H5Sclose, "");
            const Handle dataset(H5Dcreate2(example.id(), "/clips/a/layer_0/key", type, space.get(),
                                            H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                                 H5Dclose, "");
            if (label != nullptr) {
                write_text(dataset.get(), "dtype_logical", label);
            }
        });
    };
    EXPECT_THAT(typed(H5T_IEEE_F64LE, nullptr), HasSubstr("holds a 64-bit float"));
    EXPECT_THAT(typed(H5T_IEEE_F32BE, nullptr), HasSubstr("big-endian"));
    EXPECT_THAT(typed(H5T_STD_U16LE, nullptr), HasSubstr("dtype_logical = \"bf16\" makes them bf16"));
    EXPECT_THAT(typed(H5T_IEEE_F32LE, "bf16"), HasSubstr("dtype_logical is \"bf16\", its values are f32"));
    EXPECT_THAT(typed(H5T_IEEE_F32LE, nullptr), HasSubstr("is partly unwritten: 0 bytes in the file"));
}

// Sizes are checked before anything is read: what HDF5 would fill in was computed by nobody.
TEST_F(Candidates, WithMissingChunksAreRefused) {
    const auto line = refusal([](ExampleCandidate& example) {
        const std::array<hsize_t, 2> dims{67, 128};
        const std::array<hsize_t, 2> chunk{16, 128};
        const Handle space(H5Screate_simple(2, dims.data(), nullptr), H5Sclose, "");
        const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "");
        H5Pset_chunk(properties.get(), 2, chunk.data());
        const Handle dataset(H5Dcreate2(example.id(), "/clips/a/layer_0/key", H5T_IEEE_F32LE, space.get(),
                                        H5P_DEFAULT, properties.get(), H5P_DEFAULT),
                             H5Dclose, "");
        const std::array<hsize_t, 2> start{0, 0};
        const std::array<hsize_t, 2> count{33, 128};
        const Handle half(H5Screate_simple(2, count.data(), nullptr), H5Sclose, "");
        H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
        const std::vector<float> values(33 * 128, 1.0F);
        H5Dwrite(dataset.get(), H5T_IEEE_F32LE, half.get(), space.get(), H5P_DEFAULT, values.data());
    });
    EXPECT_THAT(line, HasSubstr("/clips/a/layer_0/key: is partly unwritten"));
}

TEST_F(Candidates, ThatAreNoWholeFilesAreRefused) {
    EXPECT_THAT(refusal_of(folder_.file("nowhere.h5")),
                HasSubstr("no such file; write_candidate.py shows how to make one"));
    write_bytes(folder_.file("text.h5"), "not HDF5");
    EXPECT_EQ(refusal_of(folder_.file("text.h5")), "is not an HDF5 file");
    auto example = open();
    example.add("/clips/a/layer_0/query", {shape.context, shape.width()}, tensor(shape.width(), 1));
    example.close();
    const std::string bytes = read_bytes(example.name());
    write_bytes(example.name(), bytes.substr(0, bytes.size() / 2));
    EXPECT_THAT(refusal_of(example.name()), HasSubstr("truncated"));
}

// Whatever happens to the bytes of a file, it is read or refused: no crash, nothing else thrown.
TEST_F(Candidates, SurviveDamage) {
    auto example = open();
    example.add("/clips/a/layer_0/query", {shape.context, shape.width()}, tensor(shape.width(), 1),
                ExampleStore::deflated);
    example.add("/clips/b/layer_1/scores", {shape.heads, shape.context, shape.context},
                tensor(shape.context, 2, shape.heads), ExampleStore::checked);
    example.close();
    const std::string bytes = read_bytes(example.name());
    std::mt19937 engine(7);
    int refused = 0;
    constexpr int trials = 100;
    for (int trial = 0; trial < trials; ++trial) {
        std::string damaged = bytes;
        // The structure lies at the beginning, and between the data.
        const std::size_t range = trial % 2 == 0 ? std::min<std::size_t>(bytes.size(), 4096) : bytes.size();
        for (int i = 0; i < 4; ++i) {
            damaged[engine() % range] = static_cast<char>(engine());
        }
        write_bytes(example.name(), damaged);
        try {
            const Candidate candidate(example.name(), recording_);
            std::vector<float> slab(static_cast<std::size_t>(3 * shape.context));
            if (!candidate.ops("b", 1).empty()) {
                candidate.read("b", 1, Op::scores, {1, 64, 3}, slab);
            }
        } catch (const ReadError&) {
            ++refused;
        }
    }
    EXPECT_GT(refused, 0);
    EXPECT_LT(refused, trials) << "damage of values alone is for the judge to see";
}

}  // namespace
}  // namespace datasets
