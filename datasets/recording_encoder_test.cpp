// The optional parts of a recording, which make it one of a whole encoder: what goes in comes out bit for
// bit, here and in h5py; what contradicts the schema is refused by object and reason.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <limits>
#include <sstream>
#include <tuple>

#include "datasets/bf16.hpp"
#include "datasets/recording.hpp"
#include "datasets/recording_example.hpp"
#include "datasets/recording_hdf5.hpp"
#include "datasets/recording_schema.hpp"

namespace datasets {
namespace {

using testing::HasSubstr;

std::vector<float> as_stored(std::vector<float> values, DType store) {
    if (store == DType::bf16) {
        for (float& value : values) {
            value = round_to_bf16(value, Rounding::nearest_even);
        }
    }
    return values;
}

RecordingInfo whole_info(LayerShape shape, int layers, int clips) {
    auto info = example_info(shape, layers, clips);
    info.mels = 80;
    for (auto& clip : info.clips) {
        clip.audio_sha256 = std::string(64, 'b');
        clip.audio_origin = clip.id + ".wav";
    }
    return info;
}

void write_whole(const std::string& file, const RecordingInfo& info, std::int64_t frames,
                 DType store = DType::f32) {
    RecordingWriter writer(file, info, {.store = store, .whole_weights = true});
    const auto layers = info.recorded_layers.empty() ? std::vector{0, 1} : info.recorded_layers;
    for (int clip = 0; clip < std::ssize(info.clips); ++clip) {
        const auto& id = info.clips[static_cast<std::size_t>(clip)].id;
        for (const int layer : layers) {
            EXPECT_FALSE(writer.has(id, layer));
            auto whole = example_whole_layer(info, clip, layer);
            if (clip > 0) {
                whole.weights = {};  // in the file already
            }
            writer.write(std::move(whole));
            EXPECT_TRUE(writer.has(id, layer));
        }
        EXPECT_FALSE(writer.has_clip(id));
        writer.write_clip(id, example_clip(info, clip, frames));
        EXPECT_TRUE(writer.has_clip(id));
    }
    writer.write_end(example_end(info));
    writer.finish();
}

void expect_same_layer(const LayerCase& read, const LayerCase& written, DType store) {
    for (const auto specs : {activation_specs(), weight_specs()}) {
        for (const auto& spec : specs) {
            ASSERT_NE(spec.find(read), nullptr) << spec.path();
            EXPECT_TRUE(*spec.find(read) == as_stored(*spec.find(written), store)) << spec.path();
        }
    }
}

class WholeRoundTrip : public testing::TestWithParam<std::tuple<int, int, DType>> {};

TEST_P(WholeRoundTrip, KeepsEveryBit) {
    const auto [context, stride, store] = GetParam();
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto info = whole_info({context, 2}, 2, 2);
    // Both lengths that a stride of 2 makes this context of.
    const std::int64_t frames = stride == 1 ? context : 2 * context - context % 2;
    write_whole(file, info, frames, store);

    const Recording recording(file);
    EXPECT_EQ(recording.info().mels, 80);
    EXPECT_THAT(recording.info().recorded_layers, testing::ElementsAre(0, 1));
    EXPECT_EQ(recording.info().clips[1].audio_sha256, std::string(64, 'b'));
    EXPECT_EQ(recording.info().clips[1].audio_origin, "b.wav");
    for (int clip = 0; clip < 2; ++clip) {
        const std::string id = clip == 0 ? "a" : "b";
        const auto written = example_clip(info, clip, frames);
        const auto read = recording.clip_tensors(id);
        EXPECT_TRUE(read.audio == written.audio) << "never rounded";
        EXPECT_TRUE(read.mel == written.mel) << "never rounded";
        EXPECT_TRUE(read.embedding == as_stored(written.embedding, store));
        EXPECT_TRUE(read.encoder == as_stored(written.encoder, store));
        for (int layer = 0; layer < 2; ++layer) {
            const auto loaded = recording.layer(id, layer);
            expect_same_layer(loaded, example_whole_layer(info, clip, layer), store);
            const auto stream =
                layer == 0 ? written.embedding : example_whole_layer(info, clip, 0).recorded.at(Op::block);
            EXPECT_TRUE(loaded.stream == as_stored(stream, store)) << layer;
        }
    }
    const auto end = recording.end();
    ASSERT_TRUE(end.has_value());
    EXPECT_EQ(end->shape, info.shape());
    EXPECT_TRUE(end->norm.gain == as_stored(example_end(info).gain, store));
    EXPECT_TRUE(end->norm.bias == as_stored(example_end(info).bias, store));
}

INSTANTIATE_TEST_SUITE_P(Shapes, WholeRoundTrip,
                         testing::Combine(testing::Values(1, 64, 65), testing::Values(1, 2),
                                          testing::Values(DType::f32, DType::bf16)),
                         [](const auto& test) {
                             return fmt::format("rows_{}_stride_{}_{}", std::get<0>(test.param),
                                                std::get<1>(test.param),
                                                dtype_label(std::get<2>(test.param)));
                         });

TEST(WholeRecording, HoldsASubsetOfTheLayers) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    auto info = whole_info({3, 1}, 6, 1);
    info.recorded_layers = {1, 4, 5};
    write_whole(file, info, 6);
    const Recording recording(file);
    EXPECT_THAT(recording.info().recorded_layers, testing::ElementsAre(1, 4, 5));
    EXPECT_EQ(recording.info().layers, 6);
    EXPECT_TRUE(recording.layer("a", 1).stream.empty()) << "layer 0 is not in the file";
    EXPECT_TRUE(recording.layer("a", 4).stream.empty());
    EXPECT_TRUE(recording.layer("a", 5).stream == example_whole_layer(info, 0, 4).recorded.at(Op::block));
    try {
        static_cast<void>(recording.layer("a", 2));
        ADD_FAILURE() << "layer 2 is not in the file";
    } catch (const ReadError& error) {
        EXPECT_EQ(error.reason, "layer 2 is not in the file, which holds 1, 4, 5");
    }
}

TEST(WholeRecording, OfAttentionAloneHoldsNothingElse) {
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    const auto info = example_info({3, 1}, 1, 1);
    RecordingWriter writer(file, info);
    auto layer = example_whole_layer(info, 0, 0);
    layer.recorded = example_layer(info, 0, 0).recorded;
    writer.write(layer);
    writer.finish();
    const Recording recording(file);
    EXPECT_FALSE(recording.end().has_value());
    EXPECT_TRUE(recording.clip_tensors("a").mel.empty());
    EXPECT_TRUE(recording.layer("a", 0).stream.empty());
    EXPECT_TRUE(recording.layer("a", 0).weights.fc1.weight.empty());
    EXPECT_EQ(recording.summaries().size(), 8U + 7U);
}

TEST(WholeRecording, WriterRefusesWhatTheReaderWouldRefuse) {
    const TemporaryFolder folder;
    const auto info = whole_info({3, 1}, 2, 2);
    const auto refuses = [&](auto act, WriterOptions options = {.whole_weights = true}) {
        RecordingWriter writer(folder.file("recording.h5"), info, options);
        EXPECT_THROW(act(writer), std::invalid_argument);
    };
    const auto refuses_clip = [&](auto damage) {
        auto tensors = example_clip(info, 0, 6);
        damage(tensors);
        refuses([&](RecordingWriter& writer) { writer.write_clip("a", tensors); });
    };
    refuses_clip([](ClipTensors& tensors) { tensors = {}; });
    refuses_clip([](ClipTensors& tensors) { tensors.mel.resize(80 * 7); });
    refuses_clip([](ClipTensors& tensors) { tensors.mel.pop_back(); });
    refuses_clip([](ClipTensors& tensors) { tensors.audio[3] = std::numeric_limits<float>::infinity(); });
    refuses_clip([](ClipTensors& tensors) { tensors.encoder.pop_back(); });
    refuses([&](RecordingWriter& writer) { writer.write_clip("c", example_clip(info, 0, 6)); });
    refuses([&](RecordingWriter& writer) {
        writer.write_clip("a", example_clip(info, 0, 6));
        writer.write_clip("a", example_clip(info, 0, 6));
    });
    const auto refuses_layer = [&](auto damage) {
        auto layer = example_whole_layer(info, 0, 0);
        damage(layer);
        refuses([&](RecordingWriter& writer) { writer.write(layer); });
    };
    refuses_layer([](LayerCase& layer) { layer.weights.mlp_norm.gain.clear(); });
    refuses_layer([](LayerCase& layer) { layer.weights.fc1.weight.pop_back(); });
    refuses_layer([](LayerCase& layer) { layer.recorded[Op::gelu].pop_back(); });
    refuses_layer([](LayerCase& layer) { layer.recorded[Op::fc1] = layer.recorded[Op::gelu]; });
    refuses_layer([](LayerCase& layer) { layer.weights = {}; });
    refuses([&](RecordingWriter& writer) {  // the weights of a later clip: the same, or none
        writer.write(example_whole_layer(info, 0, 0));
        auto other = example_whole_layer(info, 1, 0);
        other.weights.fc2.bias[0] += 1.0F;
        writer.write(other);
    });
    refuses([&](RecordingWriter& writer) { writer.write_end({}); });
    refuses([&](RecordingWriter& writer) { writer.write_end(example_end(info)); }, {});
    RecordingWriter writer(folder.file("recording.h5"), info, {.whole_weights = true});
    for (int clip = 0; clip < 2; ++clip) {
        for (int layer = 0; layer < 2; ++layer) {
            writer.write(example_whole_layer(info, clip, layer));
        }
    }
    EXPECT_THROW(writer.finish(), std::logic_error) << "the end is missing";
    const auto refuses_info = [&](auto damage) {
        auto damaged = info;
        damage(damaged);
        EXPECT_THROW(RecordingWriter(folder.file("other.h5"), damaged), std::invalid_argument);
    };
    refuses_info([](RecordingInfo& damaged) { damaged.mels = 1025; });
    refuses_info([](RecordingInfo& damaged) { damaged.recorded_layers = {1, 0}; });
    refuses_info([](RecordingInfo& damaged) { damaged.recorded_layers = {0, 0}; });
    refuses_info([](RecordingInfo& damaged) { damaged.recorded_layers = {0, 2}; });
    refuses_info([](RecordingInfo& damaged) { damaged.recorded_layers = {-1, 0}; });
    refuses_info([](RecordingInfo& damaged) { damaged.clips[0].audio_sha256 = "abc"; });
    refuses_info([](RecordingInfo& damaged) { damaged.clips[0].audio_origin = "two\nlines"; });
}

// What the reader says about a whole recording after `damage` to its open file.
std::string refusal_after(const std::function<void(hid_t)>& damage) {
    const LibraryScope library;
    const TemporaryFolder folder;
    const auto file = folder.file("recording.h5");
    write_whole(file, whole_info({3, 1}, 2, 1), 6);
    {
        const Handle handle(H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, "open");
        damage(handle.get());
    }
    try {
        const Recording recording(file);
        static_cast<void>(recording.summaries());
    } catch (const ReadError& error) {
        EXPECT_EQ(error.file, file);
        return error.object + ": " + error.reason;
    }
    return "taken";
}

std::function<void(hid_t)> removed(const std::string& object) {
    return [object](hid_t file) { require(H5Ldelete(file, object.c_str(), H5P_DEFAULT), "delete"); };
}

std::function<void(hid_t)> moved(const std::string& from, const std::string& to) {
    return [from, to](hid_t file) {
        require(H5Lmove(file, from.c_str(), file, to.c_str(), H5P_DEFAULT, H5P_DEFAULT), "move");
    };
}

TEST(WholeRefusals, NameObjectAndReason) {
    const std::string layer = "/clips/a/encoder/layer_01";
    EXPECT_EQ(refusal_after([](hid_t) {}), "taken");
    EXPECT_EQ(refusal_after(removed("/clips/a/mel")), "taken");
    EXPECT_EQ(refusal_after(removed(layer + "/mlp")), "taken") << "activations are optional";
    EXPECT_EQ(refusal_after(removed(layer + "/resid_out")), "taken");
    constexpr auto together = "is missing; the weights of norms, MLP and end are in a file for every layer";
    for (const std::string object :
         {"/weights/layer_01/mlp/w1", "/weights/layer_00/attn_norm/gain", "/weights/end/bias"}) {
        EXPECT_THAT(refusal_after(removed(object)), HasSubstr(object + ": " + together));
    }
    EXPECT_THAT(refusal_after(removed("/weights/end")), HasSubstr("/weights/end/gain: "));
    EXPECT_THAT(refusal_after(moved(layer + "/mlp/h", layer + "/mlp/hidden")),
                HasSubstr(layer + "/mlp/hidden: is unknown here; known are x, h, y"));
    EXPECT_THAT(refusal_after(moved("/weights/layer_01/mlp/w1", "/weights/layer_01/mlp/fc1")),
                HasSubstr("/weights/layer_01/mlp/fc1: is unknown here; known are w1, b1, w2, b2"));
    EXPECT_THAT(refusal_after([&](hid_t file) {
                    moved(layer + "/mlp/h", layer + "/keep")(file);
                    moved(layer + "/mlp/x", layer + "/mlp/h")(file);
                }),
                HasSubstr(layer + "/mlp/h: has 2 dimensions [3, 64]; n_ctx, n_head and head_dim ask for "
                                  "time,channel [3, 256]"));
    EXPECT_THAT(refusal_after([](hid_t file) { H5Adelete_by_name(file, "/", "n_mels", H5P_DEFAULT); }),
                HasSubstr("/clips/a/mel: has 2 dimensions [80, 6]"));
    EXPECT_THAT(refusal_after([](hid_t file) {
                    removed("/clips/a/encoder/out")(file);
                    moved("/clips/a/encoder/embed", "/clips/a/encoder/out")(file);
                }),
                HasSubstr("/clips/a/encoder/out: attribute tensor_role is \"embedding\" instead of"));
    EXPECT_THAT(refusal_after([](hid_t file) { write_integers(open_group(file, "/").get(), "layers", {0}); }),
                HasSubstr("/clips/a/encoder/layer_01: is not a layer of this file, whose layers are 0"));
    EXPECT_THAT(refusal_after([](hid_t file) {
                    write_integers(open_group(file, "/").get(), "layers", {1, 0});
                }),
                HasSubstr("/: attribute layers is [1, 0], not ascending within 0..1"));
    EXPECT_THAT(refusal_after([](hid_t file) {
                    H5Adelete_by_name(file, "/clips/a", "audio_sha256", H5P_DEFAULT);
                    write_text(open_group(file, "/clips/a").get(), "audio_sha256", "abc");
                }),
                HasSubstr("/clips/a: attribute audio_sha256 is not 64 lower-case hexadecimal digits"));
}

TEST(WholeInteroperation, H5pyReadsEveryDataset) {
    const TemporaryFolder folder;
    if (std::system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") != 0) {
        GTEST_SKIP() << "needs python3-h5py";
    }
    for (const DType store : {DType::f32, DType::bf16}) {
        const auto file = folder.file("recording.h5");
        write_whole(file, whole_info({65, 2}, 2, 2), 129, store);
        const auto expected = Recording(file).summaries();
        write_bytes(folder.file("program.py"), R"(
import sys, h5py, numpy
with h5py.File(sys.argv[1], "r") as file, open(sys.argv[2], "w") as out:
    found = {}
    file.visititems(lambda name, item: found.update({"/" + name: item}) if hasattr(item, "shape") else None)
    for name in sorted(found):
        values = found[name][...]
        shape = "x".join(map(str, values.shape))
        print(name, shape, values.dtype, float(values.min()).hex(), float(values.max()).hex(), file=out)
)");
        const auto command =
            fmt::format("/usr/bin/python3 {} {} {}", folder.file("program.py"), file, folder.file("out"));
        ASSERT_EQ(std::system(command.c_str()), 0);
        EXPECT_EQ(expected.size(), 2U * 4U + 4U * 13U + 2U * 15U + 2U);
        // Hexadecimal floats are written in more than one way.
        std::istringstream got(read_bytes(folder.file("out")));
        for (const auto& one : expected) {
            std::string name;
            std::string shape;
            std::string type;
            std::string min;
            std::string max;
            ASSERT_TRUE(got >> name >> shape >> type >> min >> max);
            EXPECT_EQ(name, one.object);
            EXPECT_EQ(shape, fmt::format("{}", fmt::join(one.dims, "x"))) << name;
            EXPECT_EQ(type, "float32") << name;
            EXPECT_EQ(std::strtod(min.c_str(), nullptr), double{one.min}) << name;
            EXPECT_EQ(std::strtod(max.c_str(), nullptr), double{one.max}) << name;
        }
    }
}

}  // namespace
}  // namespace datasets
