// Small candidates for tests, written plainly, as other programs write them.
#pragma once

#include <hdf5.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/bf16.hpp"
#include "datasets/recording_hdf5.hpp"

namespace datasets {

// How an example stores its values. The last two chunk them.
enum class ExampleStore : std::uint8_t { f32, bf16, bf16_in_uint16, checked, deflated };

// A file that is open for change until it is closed.
class ExampleCandidate {
public:
    ExampleCandidate(std::string file, const std::string& recording_sha256, std::string_view input,
                     std::string_view arithmetic)
        : name_(std::move(file)),
          file_(H5Fcreate(name_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose, "create") {
        write_text(id(), "schema", "npu-attention-candidate");
        write_integers(id(), "schema_version", {1, 0});
        write_text(id(), "recording_sha256", recording_sha256);
        write_text(id(), "runner", "example");
        write_text(id(), "input", input);
        if (!arithmetic.empty()) {
            write_text(id(), "arithmetic", arithmetic);
        }
    }

    [[nodiscard]] hid_t id() const { return file_.get(); }
    [[nodiscard]] const std::string& name() const { return name_; }
    void close() { file_ = Handle(); }

    // Makes the groups above it as well. bf16 rounds to nearest even.
    void add(const std::string& object, const std::vector<std::int64_t>& dims,
             const std::vector<float>& values, ExampleStore store = ExampleStore::f32) const {
        const auto slash = object.rfind('/');
        const Handle group = ensure_group(id(), object.substr(0, slash));
        const std::vector<hsize_t> extent(dims.begin(), dims.end());
        const Handle space(H5Screate_simple(static_cast<int>(dims.size()), extent.data(), nullptr), H5Sclose,
                           "make its dimensions");
        const bool halved = store == ExampleStore::bf16 || store == ExampleStore::bf16_in_uint16;
        const Handle type = store == ExampleStore::bf16_in_uint16
                                ? Handle(H5Tcopy(H5T_STD_U16LE), H5Tclose, "copy")
                                : stored_type(halved ? DType::bf16 : DType::f32);
        const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "prepare");
        if (store == ExampleStore::checked || store == ExampleStore::deflated) {
            std::vector<hsize_t> chunk = extent;
            std::ranges::transform(chunk, chunk.begin(), [](hsize_t n) { return (n + 2) / 3; });
            require(H5Pset_chunk(properties.get(), static_cast<int>(chunk.size()), chunk.data()), "chunk");
            require(store == ExampleStore::checked ? H5Pset_fletcher32(properties.get())
                                                   : H5Pset_deflate(properties.get(), 6),
                    "filter");
        }
        const Handle dataset(H5Dcreate2(group.get(), object.substr(slash + 1).c_str(), type.get(),
                                        space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT),
                             H5Dclose, "create");
        if (store == ExampleStore::bf16_in_uint16) {
            write_text(dataset.get(), "dtype_logical", "bf16");
        }
        std::vector<bf16> bits(halved ? values.size() : 0);
        if (halved) {
            std::ranges::transform(values, bits.begin(),
                                   [](float value) { return to_bf16(value, Rounding::nearest_even); });
        }
        const void* from = halved ? static_cast<const void*>(bits.data()) : values.data();
        if (!values.empty()) {
            require(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, from), "write");
        }
    }

private:
    std::string name_;
    Handle file_;
};

}  // namespace datasets
