// Every kind of broken file is refused in one line that names file, object and reason; and no damage to the
// bytes of a file does anything but that.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <functional>
#include <limits>
#include <memory>
#include <random>

#include "datasets/recording.hpp"
#include "datasets/recording_example.hpp"
#include "datasets/recording_hdf5.hpp"
#include "datasets/recording_schema.hpp"
#include "datasets/recording_trial.hpp"
#include "datasets/sha256.hpp"

#ifdef __SANITIZE_ADDRESS__
// HDF5 leaks on some of its own error paths, and libsndfile keeps what libvorbis made for a damaged Ogg file.
// That our handles are closed is a test of recording_test.cpp.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
    return "leak:libhdf5\nleak:libvorbis";
}
#endif

namespace datasets {
namespace {

using testing::HasSubstr;

constexpr auto attention = "/clips/a/encoder/layer_00/attn";

// A valid file with one clip of one layer, context 3, one head of 64 channels, open for change.
class Broken {
public:
    Broken() : name_(folder_.file("recording.h5")) {
        write_example(name_, example_info({3, 1}, 1, 1));
        file_ = Handle(H5Fopen(name_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, "open");
    }

    hid_t id() const { return file_.get(); }
    std::string sibling(const std::string& name) const { return folder_.file(name); }

    void remove(const std::string& object) {
        require(H5Ldelete(id(), object.c_str(), H5P_DEFAULT), "delete");
    }

    void remove_attribute(const std::string& object, const std::string& name) {
        require(H5Adelete_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT), "delete");
    }

    // Puts another attribute in the place of one.
    void set(const std::string& object, const std::string& name, std::string_view value) {
        write_text(emptied(object, name).get(), name, value);
    }
    void set(const std::string& object, const std::string& name, std::int64_t value) {
        write_integer(emptied(object, name).get(), name, value);
    }
    void set_real(const std::string& object, const std::string& name, double value) {
        write_real(emptied(object, name).get(), name, value);
    }
    void set(const std::string& object, const std::string& name, const std::vector<std::int64_t>& values) {
        write_integers(emptied(object, name).get(), name, values);
    }

    // Closes the file and gives the line of its refusal, without the file's name.
    std::string refusal() {
        file_ = Handle();
        return refusal_of(name_);
    }

    static std::string refusal_of(const std::string& name) {
        try {
            const Recording recording(name);
            for (const auto& clip : recording.info().clips) {
                static_cast<void>(recording.layer(clip.id, 0));
            }
        } catch (const ReadError& error) {
            const std::string line = error.what();
            EXPECT_EQ(error.file, name);
            EXPECT_EQ(line, error.object.empty()
                                ? fmt::format("{}: {}", name, error.reason)
                                : fmt::format("{}: {}: {}", name, error.object, error.reason));
            EXPECT_EQ(line.find('\n'), std::string::npos);
            return line.substr(name.size() + 2);
        }
        return "taken";
    }

    const std::string& name() const { return name_; }

private:
    Handle emptied(const std::string& object, const std::string& name) {
        Handle handle(H5Oopen(id(), object.c_str(), H5P_DEFAULT), H5Oclose, "open");
        if (has_attribute(handle.get(), name)) {
            H5Adelete(handle.get(), name.c_str());
        }
        return handle;
    }

    TemporaryFolder folder_;
    std::string name_;
    Handle file_;
};

// How to create a dataset otherwise than the schema says. Whatever is not changed is right.
struct Replacement {
    std::vector<hsize_t> dims{3, 64};
    std::vector<hsize_t> max_dims{};
    std::vector<hsize_t> chunk{3, 64};
    hid_t type = H5T_IEEE_F32LE;
    std::vector<float> values = std::vector<float>(3 * 64, 0.5F);
    std::function<void(hid_t)> properties = [](hid_t list) { H5Pset_fletcher32(list); };
    bool write = true;
};

// Replaces x, with every attribute that the schema demands.
void replace_x(Broken& file, const Replacement& replacement) {
    const std::string object = fmt::format("{}/x", attention);
    file.remove(object);
    const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "create");
    if (!replacement.chunk.empty()) {
        H5Pset_chunk(properties.get(), static_cast<int>(replacement.chunk.size()), replacement.chunk.data());
    }
    replacement.properties(properties.get());
    const Handle space(H5Screate_simple(static_cast<int>(replacement.dims.size()), replacement.dims.data(),
                                        replacement.max_dims.empty() ? nullptr : replacement.max_dims.data()),
                       H5Sclose, "create");
    const Handle dataset(H5Dcreate2(file.id(), object.c_str(), replacement.type, space.get(), H5P_DEFAULT,
                                    properties.get(), H5P_DEFAULT),
                         H5Dclose, "create");
    if (replacement.write) {
        require(H5Dwrite(dataset.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                         replacement.values.data()),
                "write");
    }
    write_text(dataset.get(), "dims", "time,channel");
    write_text(dataset.get(), "dtype_logical", "f32");
    write_text(dataset.get(), "rounding", "none");
    write_text(dataset.get(), "sha256", sha256_hex(std::as_bytes(std::span(replacement.values))));
}

struct Case {
    const char* name;
    std::function<void(Broken&)> damage;
    std::string line;  // a part of what the reader says after the file's name
};

void PrintTo(const Case& broken, std::ostream* stream) {
    *stream << broken.name;
}

class Refusals : public testing::TestWithParam<Case> {};

TEST_P(Refusals, NameObjectAndReason) {
    const LibraryScope library;
    Broken file;
    GetParam().damage(file);
    EXPECT_THAT(file.refusal(), HasSubstr(GetParam().line));
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
    return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(
    Root, Refusals,
    testing::Values(
        Case{"nothing", [](Broken&) {}, "taken"},
        Case{"other_schema", [](Broken& file) { file.set("/", "schema", "somebody's"); },
             "/: attribute schema is \"somebody's\" instead of \"npu-whisper-activations\""},
        Case{"no_schema", [](Broken& file) { file.remove_attribute("/", "schema"); },
             "/: attribute schema is missing"},
        Case{"newer_version",
             [](Broken& file) {
                 file.set("/", "schema_version", std::vector<std::int64_t>{2, 0});
             },
             "/: attribute schema_version is 2.0; this program reads 1.0"},
        Case{"newer_minor_version",
             [](Broken& file) {
                 file.set("/", "schema_version", std::vector<std::int64_t>{1, 1});
             },
             "/: attribute schema_version is 1.1"},
        Case{"version_as_one_number", [](Broken& file) { file.set("/", "schema_version", 1); },
             "/: attribute schema_version has 1 elements instead of 2"},
        Case{"complete_absent", [](Broken& file) { file.remove_attribute("/", "complete"); },
             "/: attribute complete is missing: the recording was not finished"},
        Case{"complete_0", [](Broken& file) { file.set("/", "complete", 0); },
             "/: attribute complete is 0 instead of 1"},
        Case{"complete_as_text", [](Broken& file) { file.set("/", "complete", "yes"); },
             "/: attribute complete is not an integer"},
        Case{"head_dim", [](Broken& file) { file.set("/", "head_dim", 32); }, "/: attribute head_dim is 32"},
        Case{"d_model", [](Broken& file) { file.set("/", "d_model", 128); },
             "/: attribute d_model is 128; n_head 1 x head_dim 64 is 64"},
        Case{"other_heads",
             [](Broken& file) {
                 file.set("/", "n_head", 2);
                 file.set("/", "d_model", 128);
             },
             "/attn/ctx: has 2 dimensions [3, 64]; n_ctx, n_head and head_dim ask for time,channel [3, 128]"},
        Case{"other_context", [](Broken& file) { file.set("/", "n_ctx", 4); },
             "/attn/ctx: has 2 dimensions [3, 64]; n_ctx, n_head and head_dim ask for time,channel [4, 64]"},
        Case{"absurd_context", [](Broken& file) { file.set("/", "n_ctx", std::int64_t{1} << 40); },
             "/: attribute n_ctx is 1099511627776, not in 1..65536"},
        Case{"negative_context", [](Broken& file) { file.set("/", "n_ctx", -3); },
             "/: attribute n_ctx is -3, not in 1..65536"},
        Case{"absurd_heads", [](Broken& file) { file.set("/", "n_head", 65); },
             "/: attribute n_head is 65, not in 1..64"},
        Case{"absurd_layers", [](Broken& file) { file.set("/", "n_layer", 129); },
             "/: attribute n_layer is 129, not in 1..128"},
        Case{"too_many_layers_promised", [](Broken& file) { file.set("/", "n_layer", 2); },
             "/clips/a/encoder/layer_01: is missing"},
        Case{"a_layer_too_many",
             [](Broken& file) {
                 const Handle group(
                     H5Gcreate2(file.id(), "/weights/layer_01", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                     H5Gclose, "create");
             },
             "/weights/layer_01: is not a layer of this file, whose n_layer is 1"},
        Case{"unknown_source", [](Broken& file) { file.set("/", "source", "guessed"); },
             "/: attribute source is \"guessed\""},
        Case{"control_character", [](Broken& file) { file.set("/", "model_id", "two\nlines"); },
             "/: attribute model_id holds a control character"},
        Case{"negative_seed", [](Broken& file) { file.set("/", "seed", -1); },
             "/: attribute seed is negative"},
        Case{"audio_does_not_add_up", [](Broken& file) { file.set_real("/", "audio_seconds", 7); },
             "/: attribute audio_seconds is 7; the clips sum to 1.5"}),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    Layout, Refusals,
    testing::Values(
        Case{"no_clips", [](Broken& file) { file.remove("/clips"); }, "/clips: is missing"},
        Case{"no_clip", [](Broken& file) { file.remove("/clips/a"); }, "/clips: holds no clip"},
        Case{"no_weights", [](Broken& file) { file.remove("/weights"); }, "/weights: is missing"},
        Case{"no_encoder", [](Broken& file) { file.remove("/clips/a/encoder"); },
             "/clips/a/encoder: is missing"},
        Case{"no_x", [](Broken& file) { file.remove(fmt::format("{}/x", attention)); },
             "/clips/a/encoder/layer_00/attn/x: is missing"},
        Case{"no_wq", [](Broken& file) { file.remove("/weights/layer_00/attn/wq"); },
             "/weights/layer_00/attn/wq: is missing"},
        Case{"no_audio_seconds", [](Broken& file) { file.remove_attribute("/clips/a", "audio_seconds"); },
             "/clips/a: attribute audio_seconds is missing"},
        Case{"audio_seconds_nan",
             [](Broken& file) {
                 file.set_real("/clips/a", "audio_seconds", std::numeric_limits<double>::quiet_NaN());
             },
             "/clips/a: attribute audio_seconds is nan"},
        Case{"too_many_valid_frames", [](Broken& file) { file.set("/clips/a", "valid_frames", 4); },
             "/clips/a: attribute valid_frames is 4, not in 0..n_ctx = 3"},
        Case{"unknown_tensor",
             [](Broken& file) {
                 H5Lmove(file.id(), fmt::format("{}/q", attention).c_str(), file.id(),
                         fmt::format("{}/scores", attention).c_str(), H5P_DEFAULT, H5P_DEFAULT);
             },
             "/attn/scores: is unknown here; known are x, q, k, v, ctx, y, row_max, row_lse"},
        Case{"key_bias",
             [](Broken& file) {
                 H5Lcreate_hard(file.id(), "/weights/layer_00/attn/bq", file.id(),
                                "/weights/layer_00/attn/bk", H5P_DEFAULT, H5P_DEFAULT);
             },
             "/weights/layer_00/attn/bk: is unknown here; known are wq, wk, wv, wo, bq, bv, bo"},
        Case{"group_for_dataset",
             [](Broken& file) {
                 file.remove(fmt::format("{}/q", attention));
                 const Handle group(H5Gcreate2(file.id(), fmt::format("{}/q", attention).c_str(), H5P_DEFAULT,
                                               H5P_DEFAULT, H5P_DEFAULT),
                                    H5Gclose, "create");
             },
             "/attn/q: is not a dataset"},
        Case{"dataset_for_group",
             [](Broken& file) {
                 H5Lcreate_hard(file.id(), fmt::format("{}/q", attention).c_str(), file.id(), "/clips/b",
                                H5P_DEFAULT, H5P_DEFAULT);
             },
             "/clips/b: is not a group"},
        Case{"external_link",
             [](Broken& file) {
                 file.remove(fmt::format("{}/q", attention));
                 H5Lcreate_external("/etc/other.h5", "/q", file.id(), fmt::format("{}/q", attention).c_str(),
                                    H5P_DEFAULT, H5P_DEFAULT);
             },
             "/clips/a/encoder/layer_00/attn: \"q\" is an external link; store the object itself in its "
             "place"},
        Case{"external_link_for_weights",
             [](Broken& file) {
                 file.remove("/weights");
                 H5Lcreate_external("other.h5", "/weights", file.id(), "/weights", H5P_DEFAULT, H5P_DEFAULT);
             },
             "/: \"weights\" is an external link"},
        Case{"soft_link",
             [](Broken& file) {
                 file.remove(fmt::format("{}/q", attention));
                 H5Lcreate_soft("/elsewhere/q", file.id(), fmt::format("{}/q", attention).c_str(),
                                H5P_DEFAULT, H5P_DEFAULT);
             },
             "/clips/a/encoder/layer_00/attn: \"q\" is a soft link"}),
    case_name);

// The wrong numbers of a dataset.
INSTANTIATE_TEST_SUITE_P(
    Values, Refusals,
    testing::Values(
        Case{"replaced_as_the_schema_says", [](Broken& file) { replace_x(file, {}); }, "taken"},
        Case{"a_dimension_missing", [](Broken& file) { replace_x(file, {.dims = {192}, .chunk = {192}}); },
             "/attn/x: has 1 dimensions [192]; n_ctx, n_head and head_dim ask for time,channel [3, 64]"},
        Case{"a_dimension_too_many",
             [](Broken& file) {
                 replace_x(file, {.dims = {1, 3, 64}, .chunk = {1, 3, 64}});
             },
             "/attn/x: has 3 dimensions [1, 3, 64]"},
        Case{"rows_differ_within_a_layer",
             [](Broken& file) {
                 replace_x(file, {.dims = {2, 64}, .chunk = {2, 64}});
             },
             "/attn/x: has 2 dimensions [2, 64]"},
        Case{"transposed",
             [](Broken& file) {
                 replace_x(file, {.dims = {64, 3}, .chunk = {64, 3}});
             },
             "/attn/x: has 2 dimensions [64, 3]"},
        Case{"absurd_dimensions",
             [](Broken& file) {
                 replace_x(file, {.dims = {hsize_t{1} << 40, hsize_t{1} << 40}, .write = false});
             },
             "/attn/x: has 2 dimensions [1099511627776, 1099511627776]"},
        Case{"float64", [](Broken& file) { replace_x(file, {.type = H5T_IEEE_F64LE}); },
             "/attn/x: holds a 64-bit float with exponent bias 1023; only little-endian IEEE float32 and "
             "bf16"},
        Case{"big_endian", [](Broken& file) { replace_x(file, {.type = H5T_IEEE_F32BE}); },
             "/attn/x: holds a 32-bit big-endian float with exponent bias 127; only little-endian"},
        Case{"integers", [](Broken& file) { replace_x(file, {.type = H5T_STD_I32LE}); },
             "/attn/x: holds a 32-bit integer; only"},
        Case{"bf16_with_bias_15",
             [](Broken& file) {
                 const auto type = bf16_type();
                 H5Tset_ebias(type.get(), 15);
                 replace_x(file, {.type = type.get()});
             },
             "/attn/x: holds a 16-bit float with exponent bias 15; only"},
        Case{"float16",
             [](Broken& file) {
                 const auto type = bf16_type();
                 H5Tset_fields(type.get(), 15, 10, 5, 0, 10);
                 H5Tset_ebias(type.get(), 15);
                 replace_x(file, {.type = type.get()});
             },
             "/attn/x: holds a 16-bit float with exponent bias 15; only"},
        Case{"nan",
             [](Broken& file) {
                 Replacement replacement;
                 replacement.values[2 * 64 + 5] = std::numeric_limits<float>::quiet_NaN();
                 replace_x(file, replacement);
             },
             "/attn/x: holds NaN at [2, 5]"},
        Case{"infinity",
             [](Broken& file) {
                 Replacement replacement;
                 replacement.values[0] = -std::numeric_limits<float>::infinity();
                 replace_x(file, replacement);
             },
             "/attn/x: holds an infinity at [0, 0]"},
        Case{"other_hash",
             [](Broken& file) { file.set(fmt::format("{}/x", attention), "sha256", std::string(64, 'a')); },
             "/attn/x: its values have SHA-256 "},
        Case{"no_hash", [](Broken& file) { file.remove_attribute(fmt::format("{}/x", attention), "sha256"); },
             "/attn/x: attribute sha256 is missing"},
        Case{"malformed_hash",
             [](Broken& file) { file.set(fmt::format("{}/x", attention), "sha256", std::string(64, 'G')); },
             "/attn/x: attribute sha256 is not 64 lower-case hexadecimal digits"}),
    case_name);

// The wrong ways of storing them.
INSTANTIATE_TEST_SUITE_P(
    Storage, Refusals,
    testing::Values(
        Case{"contiguous", [](Broken& file) { replace_x(file, {.chunk = {}, .properties = [](hid_t) {}}); },
             "/attn/x: is not chunked"},
        Case{"compact",
             [](Broken& file) {
                 replace_x(file,
                           {.chunk = {}, .properties = [](hid_t list) { H5Pset_layout(list, H5D_COMPACT); }});
             },
             "/attn/x: is not chunked"},
        Case{"external_storage",
             [](Broken& file) {
                 const auto raw = file.sibling("raw");
                 replace_x(file, {.chunk = {}, .properties = [raw](hid_t list) {
                                      H5Pset_external(list, raw.c_str(), 0, 3 * 64 * sizeof(float));
                                  }});
             },
             "/attn/x: keeps its values in another file (external storage)"},
        Case{"virtual_dataset",
             [](Broken& file) {
                 const std::array<hsize_t, 2> dims{3, 64};
                 const Handle space(H5Screate_simple(2, dims.data(), nullptr), H5Sclose, "create");
                 const hid_t id = space.get();
                 replace_x(file, {.chunk = {},
                                  .properties =
                                      [id](hid_t list) { H5Pset_virtual(list, id, "other.h5", "/x", id); },
                                  .write = false});
             },
             "/attn/x: is a virtual dataset"},
        Case{"no_checksum", [](Broken& file) { replace_x(file, {.properties = [](hid_t) {}}); },
             "/attn/x: has no fletcher32 checksum"},
        Case{"foreign_filter",
             [](Broken& file) {
                 replace_x(file, {.properties = [](hid_t list) {
                               H5Pset_scaleoffset(list, H5Z_SO_FLOAT_DSCALE, 3);
                               H5Pset_fletcher32(list);
                           }});
             },
             "/attn/x: uses filter 6; only fletcher32, shuffle and deflate (gzip) are read"},
        Case{"unwritten", [](Broken& file) { replace_x(file, {.write = false}); },
             "/attn/x: is partly unwritten: 0 of 1 chunks, 0 bytes in the file for 768 bytes of values"},
        Case{"partly_unwritten",
             [](Broken& file) {
                 replace_x(file, {.chunk = {1, 64}, .write = false});
                 const auto dataset = open_dataset(file.id(), fmt::format("{}/x", attention));
                 const std::array<hsize_t, 2> first{0, 0};
                 const std::vector<float> row(64, 0.5F);
                 H5Dwrite_chunk(dataset.get(), H5P_DEFAULT, 0, first.data(), 64 * sizeof(float), row.data());
             },
             "/attn/x: is partly unwritten: 1 of 3 chunks, 256 bytes in the file for 768 bytes of values"},
        Case{"partly_unwritten_and_compressed",
             [](Broken& file) {
                 replace_x(file, {.chunk = {1, 64},
                                  .properties =
                                      [](hid_t list) {
                                          H5Pset_deflate(list, 1);
                                          H5Pset_fletcher32(list);
                                      },
                                  .write = false});
                 const auto dataset = open_dataset(file.id(), fmt::format("{}/x", attention));
                 const Handle rows(H5Dget_space(dataset.get()), H5Sclose, "select");
                 const std::array<hsize_t, 2> start{0, 0};
                 const std::array<hsize_t, 2> count{2, 64};
                 H5Sselect_hyperslab(rows.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(),
                                     nullptr);
                 const Handle memory(H5Screate_simple(2, count.data(), nullptr), H5Sclose, "select");
                 const std::vector<float> values(2 * 64, 0.5F);
                 H5Dwrite(dataset.get(), H5T_NATIVE_FLOAT, memory.get(), rows.get(), H5P_DEFAULT,
                          values.data());
             },
             "/attn/x: is partly unwritten: 2 of 3 chunks"},
        Case{"absurd_chunks",
             [](Broken& file) {
                 replace_x(file, {.max_dims = {H5S_UNLIMITED, H5S_UNLIMITED},
                                  .chunk = {hsize_t{1} << 20, 64},
                                  .write = false});
             },
             "/attn/x: has chunks of more than 67108864 bytes; store smaller ones"},
        Case{"chunk_without_checksum",
             [](Broken& file) {
                 replace_x(file, {.write = false});
                 const auto dataset = open_dataset(file.id(), fmt::format("{}/x", attention));
                 const std::array<hsize_t, 2> first{0, 0};
                 const std::vector<float> values(3 * 64, 0.5F);
                 H5Dwrite_chunk(dataset.get(), H5P_DEFAULT, 1, first.data(), 768, values.data());
             },
             "/attn/x: chunk 0 was written without its filters"},
        Case{"chunk_of_another_size",
             [](Broken& file) {
                 replace_x(file, {.write = false});
                 const auto dataset = open_dataset(file.id(), fmt::format("{}/x", attention));
                 const std::array<hsize_t, 2> first{0, 0};
                 const std::vector<float> values(4 * 64, 0.5F);
                 H5Dwrite_chunk(dataset.get(), H5P_DEFAULT, 0, first.data(), 800, values.data());
             },
             "/attn/x: chunk 0 has 800 bytes in the file instead of 772"},
        Case{"transposed_weights",
             [](Broken& file) { file.set("/weights/layer_00/attn/wq", "layout", "in,out"); },
             "/weights/layer_00/attn/wq: attribute layout is \"in,out\" instead of \"out,in\""},
        Case{"no_layout_of_weights",
             [](Broken& file) { file.remove_attribute("/weights/layer_00/attn/wq", "layout"); },
             "/weights/layer_00/attn/wq: attribute layout is missing"},
        Case{"other_dims_label",
             [](Broken& file) { file.set(fmt::format("{}/x", attention), "dims", "channel,time"); },
             "/attn/x: attribute dims is \"channel,time\" instead of \"time,channel\""},
        Case{"other_dtype_label",
             [](Broken& file) { file.set(fmt::format("{}/x", attention), "dtype_logical", "bf16"); },
             "/attn/x: attribute dtype_logical is \"bf16\" instead of \"f32\""},
        Case{"unknown_rounding",
             [](Broken& file) { file.set(fmt::format("{}/x", attention), "rounding", "up"); },
             "/attn/x: attribute rounding is \"up\", not one of none, rne, trunc, floor"},
        Case{"scaled_query",
             [](Broken& file) { file.set(fmt::format("{}/q", attention), "scale_applied", "q/sqrt(d)"); },
             "/attn/q: attribute scale_applied is \"q/sqrt(d)\" instead of \"none\""},
        Case{"swapped_tensors",
             [](Broken& file) {
                 const auto move = [&](const char* from, const char* to) {
                     H5Lmove(file.id(), fmt::format("{}/{}", attention, from).c_str(), file.id(),
                             fmt::format("{}/{}", attention, to).c_str(), H5P_DEFAULT, H5P_DEFAULT);
                 };
                 move("q", "swap");
                 move("k", "q");
                 move("swap", "k");
             },
             "/attn/k: attribute tensor_role is \"query\" instead of \"key\""}),
    case_name);

TEST(Refusal, OfWhatIsNoRecording) {
    const TemporaryFolder folder;
    const auto name = folder.file("recording.h5");
    EXPECT_THAT(Broken::refusal_of(name), HasSubstr("no such file; make one with `harness record"));
    EXPECT_EQ(Broken::refusal_of(folder.path().string()), "is a folder, not an HDF5 file");
    write_bytes(name, "");
    EXPECT_EQ(Broken::refusal_of(name), "is empty, not an HDF5 file");
    write_bytes(name, "RIFF, or any other text");
    EXPECT_EQ(Broken::refusal_of(name), "is not an HDF5 file");
    EXPECT_EQ(Broken::refusal_of(name + "/below"), "Not a directory");
    const auto pipe = folder.file("pipe");
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(Broken::refusal_of(pipe), "is not a regular file");
    if (geteuid() != 0) {
        std::filesystem::permissions(name, std::filesystem::perms::none);
        EXPECT_EQ(Broken::refusal_of(name), "cannot read it: Permission denied");
    }
}

TEST(Refusal, OfATruncatedFile) {
    Broken file;
    const auto whole = read_bytes(file.name());
    file.refusal();
    for (const std::size_t size : {whole.size() - 1, whole.size() / 2, std::size_t{2048}, std::size_t{9}}) {
        write_bytes(file.name(), whole.substr(0, size));
        EXPECT_THAT(file.refusal(),
                    testing::AnyOf(HasSubstr("truncated file"), HasSubstr("cannot open it as HDF5")))
            << size;
    }
}

// A bit flipped in the values is found by fletcher32 before SHA-256 is asked.
TEST(Refusal, OfAFlippedBitInTheValues) {
    Broken file;
    file.refusal();
    auto bytes = read_bytes(file.name());
    const auto values = example_layer(example_info({3, 1}, 1, 1), 0, 0).input;
    const auto* first = reinterpret_cast<const char*>(values.data());
    const auto position = bytes.find(std::string(first, 64));
    ASSERT_NE(position, std::string::npos);
    bytes[position + 17] = static_cast<char>(bytes[position + 17] ^ 4);
    write_bytes(file.name(), bytes);
    // The words in the middle are HDF5's own and change with its version.
    EXPECT_THAT(file.refusal(), testing::StartsWith(std::string(attention) + "/x: cannot read its values: "));
    EXPECT_THAT(file.refusal(),
                testing::EndsWith(" (checksum or compression); copy or record the file again"));
}

TEST(Refusal, PrintsNothingByItself) {
    Broken file;
    file.refusal();
    const auto whole = read_bytes(file.name());
    testing::internal::CaptureStderr();
    write_bytes(file.name(), whole.substr(0, whole.size() / 2));
    file.refusal();
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

std::string little_endian(std::uint64_t value, std::size_t size) {
    return std::string(reinterpret_cast<const char*>(&value), size);
}

// Stores the producer as a text of variable length, which is its length, the address of a heap and its index
// in there. Where the address stands in the file.
std::size_t store_producer_in_heap(Broken& file) {
    const LibraryScope library;
    const std::string text = "a producer of 27 characters";
    {
        const Handle root = open_group(file.id(), "/");
        H5Adelete(root.get(), "producer");
        const Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "create");
        H5Tset_size(type.get(), H5T_VARIABLE);
        const Handle space(H5Screate(H5S_SCALAR), H5Sclose, "create");
        const Handle attribute(
            H5Acreate2(root.get(), "producer", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
            "create");
        const char* const pointer = text.c_str();
        require(H5Awrite(attribute.get(), type.get(), static_cast<const void*>(&pointer)), "write");
    }
    EXPECT_EQ(file.refusal(), "taken");
    const auto bytes = read_bytes(file.name());
    const auto heap = bytes.find("GCOL");
    const auto reference = bytes.find(little_endian(text.size(), 4) + little_endian(heap, 8));
    EXPECT_NE(reference, std::string::npos);
    return reference + 4;
}

// HDF5 1.10 does not check the index and reads wherever it points.
TEST(Refusal, OfAFileThatCrashesHdf5) {
    Broken file;
    const auto address = store_producer_in_heap(file);
    auto bytes = read_bytes(file.name());
    bytes.replace(address + 8, 4, little_endian(0x7FFFFFFF, 4));
    write_bytes(file.name(), bytes);
    EXPECT_THAT(file.refusal(),
                testing::AnyOf(HasSubstr("is damaged, HDF5 crashes with"), HasSubstr("producer")));
}

// The length and half of the address complemented: HDF5 1.10 took 4 GiB and half a minute for it.
TEST(Refusal, OfAFileThatMakesHdf5AskForTooMuchMemory) {
    Broken file;
    const auto address = store_producer_in_heap(file);
    auto bytes = read_bytes(file.name());
    for (std::size_t i = address - 4; i < address + 4; ++i) {
        bytes[i] = static_cast<char>(~bytes[i]);
    }
    write_bytes(file.name(), bytes);
    const bool asks = H5_VERS_MAJOR == 1 && H5_VERS_MINOR == 10;
    EXPECT_THAT(file.refusal(), HasSubstr(asks ? "HDF5 asks for more than 3 GiB of memory" : "producer"));
}

TEST(Trial, TellsHowTheChildDied) {
    EXPECT_EQ(died_in_trial([] {}), "");
    EXPECT_EQ(died_in_trial([] { throw std::runtime_error("any"); }), "");
    EXPECT_EQ(died_in_trial([] { raise(SIGKILL); }), "does not come to an end within 20 s");
    EXPECT_EQ(died_in_trial([] { std::abort(); }), "crashes with ABRT");
    EXPECT_EQ(died_in_trial([] { _exit(3); }), "crashes with exit code 3");
    EXPECT_EQ(died_in_trial([] { std::vector<char>(std::size_t{4} << 30U); }),
              "asks for more than 3 GiB of memory");
    EXPECT_EQ(died_in_trial([] { std::vector<char>(std::size_t{1} << 26U); }), "");
    EXPECT_EQ(died_in_trial([] { throw OutOfMemory("by HDF5"); }), "asks for more than 3 GiB of memory");
    int changed = 0;
    EXPECT_EQ(died_in_trial([&] { changed = 1; }), "");
    EXPECT_EQ(changed, 0) << "what happens in the trial stays there";
}

// Every tensor of a file, in the order of clips and layers, whatever the clips are called.
std::vector<std::vector<float>> tensors_of(const std::string& name) {
    std::vector<std::vector<float>> tensors;
    const Recording recording(name);
    for (const auto& clip : recording.info().clips) {
        for (int index = 0; index < recording.info().layers; ++index) {
            const auto layer = recording.layer(clip.id, index);
            for (const auto specs : {activation_specs(), weight_specs()}) {
                for (const auto& spec : specs) {
                    const auto* tensor = spec.find(layer);
                    tensors.push_back(tensor == nullptr ? std::vector<float>() : *tensor);
                }
            }
        }
    }
    return tensors;
}

// Damage anywhere is refused or does not matter; it never changes a value and never ends the process. Two
// thirds of the positions lie in the first part of the file, which is mostly HDF5's own structure.
TEST(Damage, IsRefusedOrDoesNotMatter) {
    const TemporaryFolder folder;
    const auto name = folder.file("recording.h5");
    auto info = example_info({3, 1}, 1, 2);
    write_example(name, info, DType::bf16);
    const auto whole = read_bytes(name);
    const auto expected = tensors_of(name);
    std::mt19937 random(20260102);
    const auto below = [&](std::size_t end) { return static_cast<std::size_t>(random()) % end; };
    int refused = 0;
    constexpr int trials = 320;
    for (int i = 0; i < trials; ++i) {
        auto bytes = whole;
        const auto position = below(i % 3 == 0 ? whole.size() : std::min<std::size_t>(whole.size(), 16384));
        switch (i % 4) {
            case 0:
                bytes[position] = static_cast<char>(bytes[position] ^ (1 << below(8)));
                break;
            case 1:
                bytes[position] = static_cast<char>(below(256));
                break;
            case 2:
                bytes.replace(position, 4, i % 8 == 2 ? std::string(4, '\xFF') : std::string(4, '\0'));
                break;
            default:
                bytes.resize(position);
                break;
        }
        write_bytes(name, bytes);
        try {
            EXPECT_TRUE(tensors_of(name) == expected) << "trial " << i << ", position " << position;
        } catch (const ReadError&) {
            ++refused;
        }
    }
    EXPECT_GT(refused, trials / 4) << "the damage must be damage";
}

}  // namespace
}  // namespace datasets
