#include "datasets/recording_block.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <stdexcept>

#include "datasets/recording.hpp"
#include "datasets/recording_hdf5.hpp"

namespace datasets {
namespace {

constexpr const char* block_schema = "npu-attention-block";

hid_t file_type(const BlockTensor& tensor) {
    return tensor.single ? H5T_IEEE_F32LE : H5T_IEEE_F64LE;
}

void write_tensor(hid_t file, const BlockTensor& tensor) {
    if (tensor.rows < 1 || tensor.columns < 1 || std::ssize(tensor.values) != tensor.rows * tensor.columns) {
        throw std::invalid_argument(
            fmt::format("block tensor {} is not {} x {}", tensor.name, tensor.rows, tensor.columns));
    }
    const std::array<hsize_t, 2> dims{static_cast<hsize_t>(tensor.rows),
                                      static_cast<hsize_t>(tensor.columns)};
    const Handle space(H5Screate_simple(2, dims.data(), nullptr), H5Sclose, "describe a tensor");
    const Handle data(H5Dcreate2(file, tensor.name.c_str(), file_type(tensor), space.get(), H5P_DEFAULT,
                                 H5P_DEFAULT, H5P_DEFAULT),
                      H5Dclose, fmt::format("make {}", tensor.name));
    require(H5Dwrite(data.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor.values.data()),
            fmt::format("write {}", tensor.name));
}

void write_into(const std::string& temporary, const Block& block) {
    const LibraryScope library;
    Handle file(H5Fcreate(temporary.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose,
                "create the file");
    write_text(file.get(), "schema", block_schema);
    for (const auto& [name, text] : block.texts) {
        write_text(file.get(), name, text);
    }
    for (const auto& [name, number] : block.numbers) {
        write_integer(file.get(), name, number);
    }
    for (const BlockTensor& tensor : block.tensors) {
        write_tensor(file.get(), tensor);
    }
    file.close("write the file");
}

BlockTensor read_tensor(hid_t file, const std::string& name) {
    const Handle data = open_dataset(file, "/" + name);
    const Handle space(H5Dget_space(data.get()), H5Sclose, "read the size");
    std::array<hsize_t, 2> dims{};
    if (H5Sget_simple_extent_ndims(space.get()) != 2) {
        throw Refusal("is not [row, column]");
    }
    require(H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr), "read the size");
    // A block is 64 rows of an op: more is no file of ours.
    constexpr hsize_t limit = hsize_t{1} << 28U;
    if (dims[0] > limit || dims[1] > limit / std::max<hsize_t>(dims[0], 1)) {
        throw Refusal("is larger than any block");
    }
    const Handle type(H5Dget_type(data.get()), H5Tclose, "read the type");
    if (H5Tget_class(type.get()) != H5T_FLOAT) {
        throw Refusal("does not hold floating-point numbers");
    }
    BlockTensor out{name,
                    static_cast<std::int64_t>(dims[0]),
                    static_cast<std::int64_t>(dims[1]),
                    {},
                    H5Tget_size(type.get()) == 4};
    out.values.resize(dims[0] * dims[1]);
    require(H5Dread(data.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.values.data()),
            "read the values");
    return out;
}

// Attributes by their class.
herr_t keep_attribute(hid_t object, const char* name, const H5A_info_t*, void* into) {
    auto& block = *static_cast<Block*>(into);
    try {
        const Handle attribute(H5Aopen(object, name, H5P_DEFAULT), H5Aclose, "open an attribute");
        const Handle type(H5Aget_type(attribute.get()), H5Tclose, "read a type");
        if (H5Tget_class(type.get()) == H5T_STRING) {
            block.texts[name] = read_text(object, name);
        } else {
            block.numbers[name] = read_integer(object, name);
        }
    } catch (const std::exception&) {
        return -1;
    }
    return 0;
}

}  // namespace

void write_block(const std::string& file, const Block& block) {
    const std::string temporary = fmt::format("{}.partial-{}", file, getpid());
    const auto remove = [&] {
        std::error_code ignored;
        std::filesystem::remove(temporary, ignored);
    };
    try {
        write_into(temporary, block);
        std::filesystem::rename(temporary, file);
    } catch (const std::invalid_argument&) {
        remove();
        throw;
    } catch (const std::exception& error) {
        remove();
        throw std::runtime_error(fmt::format("{}: cannot write: {}", file, error.what()));
    }
}

Block read_block(const std::string& file) {
    const LibraryScope library;
    std::string object = "/";
    try {
        const Handle handle(H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, "open it");
        Block out;
        hsize_t position = 0;
        require(H5Aiterate2(handle.get(), H5_INDEX_NAME, H5_ITER_INC, &position, keep_attribute, &out),
                "read the attributes");
        if (out.texts["schema"] != block_schema) {
            throw Refusal(fmt::format("schema is not {}", block_schema));
        }
        out.texts.erase("schema");
        for (const std::string& name : link_names(handle.get())) {
            object = "/" + name;
            out.tensors.push_back(read_tensor(handle.get(), name));
        }
        return out;
    } catch (const Refusal& refusal) {
        throw ReadError(file, object, refusal.what());
    }
}

}  // namespace datasets
