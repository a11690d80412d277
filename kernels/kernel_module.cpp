#include "kernels/kernel_module.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "kernels/block_layout.hpp"

namespace kernels {
namespace {

using Bf16 = std::uint16_t;

[[noreturn]] void refuse(const char* kernel) {
    throw std::invalid_argument(std::string("the AIE kernels have no such store in ") + kernel);
}

// One of two variants of a kernel.
template <typename Function>
Function by_store(Store store, Function even, Function floor, const char* kernel) {
    if (store == Store::bf16_nearest_even) {
        return even;
    }
    if (store != Store::bf16_floor) {
        refuse(kernel);
    }
    return floor;
}

}  // namespace

class KernelModule::Library {
public:
    explicit Library(std::string path) : path_(std::move(path)), handle_(dlopen(path_.c_str(), RTLD_NOW)) {
        if (handle_ == nullptr) {
            throw ModuleError(std::string("kernel module: ") + dlerror() +
                              "; the modules are built and installed together with the program");
        }
    }
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;
    ~Library() { dlclose(handle_); }

    template <typename Function>
    void find(const std::string& symbol, Function*& into) const {
        void* found = dlsym(handle_, symbol.c_str());
        if (found == nullptr) {
            throw ModuleError("kernel module " + path_ + ": there is no function " + symbol);
        }
        into = reinterpret_cast<Function*>(found);
    }

private:
    std::string path_;
    void* handle_;
};

// kernels/aie2/kernels.h, with bf16 as its bits.
struct KernelModule::Functions {
    using Multiply = void(const Bf16*, const Bf16*, float*);
    using MultiplyStored = void(const Bf16*, const Bf16*, Bf16*);
    using StoreTile = void(const float*, float, Bf16*);
    using SoftmaxFinish = void(const float*, int, const float*, const float*, Bf16*);
    using AttentionFinish = void(const float*, const float*, Bf16*);
    using LayerNorm = void(const float*, const Bf16*, const Bf16*, int, int, Bf16*);
    using Gelu = void(const float*, int, Bf16*);
    using BiasScale = void(const float*, const Bf16*, float, int, int, Bf16*);

    std::vector<void (*)()> reset;
    void (*start_tile)(const Bf16*, float*);
    void (*zero_tile)(float*);
    Multiply* matmul_tile;
    Multiply* matmul_tile_nk;  // null: by transposing for matmul_tile
    MultiplyStored* matmul_tile_bf16_even;
    MultiplyStored* matmul_tile_bf16_floor;
    MultiplyStored* matmul_tile_nk_bf16_even;
    MultiplyStored* matmul_tile_nk_bf16_floor;
    StoreTile* store_tile_even;
    StoreTile* store_tile_floor;
    void (*scale_tile)(float*, float);
    void (*softmax_update)(const float*, int, float*, float*);
    SoftmaxFinish* softmax_finish_even;
    SoftmaxFinish* softmax_finish_floor;
    void (*attention_update)(const Bf16*, const Bf16*, const Bf16*, int, float, float*, float*, float*);
    AttentionFinish* attention_finish_even;
    AttentionFinish* attention_finish_floor;
    LayerNorm* layer_norm_rows_even;
    LayerNorm* layer_norm_rows_floor;
    Gelu* gelu_even;
    Gelu* gelu_floor;
    BiasScale* bias_scale_even;
    BiasScale* bias_scale_floor;

    // Calls visit(name, function pointer) for each.
    template <typename Visit>
    void each(Visit visit) {
        visit("start_tile", start_tile);
        visit("zero_tile", zero_tile);
        visit("matmul_tile", matmul_tile);
        visit("matmul_tile_nk", matmul_tile_nk);
        visit("matmul_tile_bf16_even", matmul_tile_bf16_even);
        visit("matmul_tile_bf16_floor", matmul_tile_bf16_floor);
        visit("matmul_tile_nk_bf16_even", matmul_tile_nk_bf16_even);
        visit("matmul_tile_nk_bf16_floor", matmul_tile_nk_bf16_floor);
        visit("store_tile_even", store_tile_even);
        visit("store_tile_floor", store_tile_floor);
        visit("scale_tile", scale_tile);
        visit("softmax_update", softmax_update);
        visit("softmax_finish_even", softmax_finish_even);
        visit("softmax_finish_floor", softmax_finish_floor);
        visit("attention_update", attention_update);
        visit("attention_finish_even", attention_finish_even);
        visit("attention_finish_floor", attention_finish_floor);
        visit("layer_norm_rows_even", layer_norm_rows_even);
        visit("layer_norm_rows_floor", layer_norm_rows_floor);
        visit("gelu_even", gelu_even);
        visit("gelu_floor", gelu_floor);
        visit("bias_scale_even", bias_scale_even);
        visit("bias_scale_floor", bias_scale_floor);
    }

    void start(const Bf16* bias, float* acc) const {
        Tile<float> c;
        if (bias == nullptr) {
            zero_tile(c.data);
        } else {
            alignas(64) Bf16 aligned[tile];
            std::copy_n(bias, tile, aligned);
            start_tile(aligned, c.data);
        }
        from_blocks<4, 4>(c.data, acc);
    }

    // The right operand as `layout`'s kernel takes it; true where that is the k_by_n kernel.
    static bool lay_out_right(const Bf16* right, Right layout, bool has_nk, Tile<Bf16>& b) {
        if (layout == Right::n_by_k && has_nk) {
            to_blocks<4, 8>(right, b.data);
            return false;
        }
        if (layout == Right::n_by_k) {
            Tile<Bf16> transposed;
            transpose(right, transposed.data);
            to_blocks<8, 4>(transposed.data, b.data);
        } else {
            to_blocks<8, 4>(right, b.data);
        }
        return true;
    }

    void multiply(const Bf16* left, const Bf16* right, Right layout, float* acc) const {
        Tile<Bf16> a;
        Tile<Bf16> b;
        Tile<float> c;
        to_blocks<4, 8>(left, a.data);
        to_blocks<4, 4>(acc, c.data);
        const bool k_by_n = lay_out_right(right, layout, matmul_tile_nk != nullptr, b);
        (k_by_n ? matmul_tile : matmul_tile_nk)(a.data, b.data, c.data);
        from_blocks<4, 4>(c.data, acc);
    }

    void multiply_stored(const Bf16* left, const Bf16* right, Right layout, Store store, Bf16* out) const {
        Tile<Bf16> a;
        Tile<Bf16> b;
        Tile<Bf16> c;
        to_blocks<4, 8>(left, a.data);
        to_blocks<4, 4>(out, c.data);
        const bool k_by_n = lay_out_right(right, layout, true, b);
        const auto kernel =
            k_by_n ? by_store(store, matmul_tile_bf16_even, matmul_tile_bf16_floor, "matmul_tile_bf16")
                   : by_store(store, matmul_tile_nk_bf16_even, matmul_tile_nk_bf16_floor, "matmul_tile_bf16");
        kernel(a.data, b.data, c.data);
        from_blocks<4, 4>(c.data, out);
    }

    void finish(const float* acc, float scale, Store store, void* out) const {
        Tile<float> c;
        if (store == Store::f32) {
            std::copy_n(acc, tile_elements, c.data);
            if (scale != 1.0F) {
                scale_tile(c.data, scale);
            }
            std::memcpy(out, c.data, sizeof c);
            return;
        }
        Tile<Bf16> stored;
        to_blocks<4, 4>(acc, c.data);
        by_store(store, store_tile_even, store_tile_floor, "store_tile")(c.data, scale, stored.data);
        from_blocks<4, 4>(stored.data, static_cast<Bf16*>(out));
    }

    // Runs `kernel(row_max, row_sum)` on aligned copies.
    template <typename Kernel>
    static void with_state(const SoftmaxState& state, Kernel kernel) {
        PerRow row_max;
        PerRow row_sum;
        std::copy_n(state.row_max, tile, row_max.data);
        std::copy_n(state.row_sum, tile, row_sum.data);
        kernel(row_max.data, row_sum.data);
        std::copy_n(row_max.data, tile, state.row_max);
        std::copy_n(row_sum.data, tile, state.row_sum);
    }

    void update_softmax(const float* scores, int keys, const SoftmaxState& state) const {
        Tile<float> s;
        std::copy_n(scores, tile_elements, s.data);
        with_state(state,
                   [&](float* row_max, float* row_sum) { softmax_update(s.data, keys, row_max, row_sum); });
    }

    void finish_softmax(const float* scores, int keys, const SoftmaxState& state, Store store,
                        Bf16* p) const {
        Tile<float> s;
        Tile<Bf16> stored;
        std::copy_n(scores, tile_elements, s.data);
        const auto kernel = by_store(store, softmax_finish_even, softmax_finish_floor, "softmax_finish");
        with_state(state, [&](const float* row_max, const float* row_sum) {
            kernel(s.data, keys, row_max, row_sum, stored.data);
        });
        std::copy_n(stored.data, tile_elements, p);
    }

    void update_attention(const Bf16* query, const Bf16* key, const Bf16* value, int keys, float scale,
                          const AttentionState& state) const {
        Tile<Bf16> q;
        Tile<Bf16> k;
        Tile<Bf16> v;
        Tile<float> context;
        to_blocks<4, 8>(query, q.data);
        to_blocks<4, 8>(key, k.data);
        to_blocks<8, 4>(value, v.data);
        to_blocks<4, 4>(state.context, context.data);
        with_state(state.softmax, [&](float* row_max, float* row_sum) {
            attention_update(q.data, k.data, v.data, keys, scale, row_max, row_sum, context.data);
        });
        from_blocks<4, 4>(context.data, state.context);
    }

    void finish_attention(const AttentionState& state, Store store, void* out) const {
        Tile<float> context;
        Tile<Bf16> stored;
        to_blocks<4, 4>(state.context, context.data);
        const auto kernel =
            by_store(store, attention_finish_even, attention_finish_floor, "attention_finish");
        with_state(state.softmax,
                   [&](const float*, const float* row_sum) { kernel(context.data, row_sum, stored.data); });
        from_blocks<4, 4>(stored.data, static_cast<Bf16*>(out));
    }

    // Row by row, as on a core, which holds one at a time.
    void layer_norm(const float* x, const Bf16* gain, const Bf16* bias, int rows, int columns, Store store,
                    Bf16* out) const {
        if (columns > tile_elements) {
            throw std::invalid_argument("a row of layer_norm_rows has at most 4096 columns");
        }
        const auto kernel = by_store(store, layer_norm_rows_even, layer_norm_rows_floor, "layer_norm_rows");
        Tile<Bf16> gains;
        Tile<Bf16> biases;
        Tile<float> row;
        Tile<Bf16> stored;
        std::copy_n(gain, columns, gains.data);
        std::copy_n(bias, columns, biases.data);
        for (int i = 0; i < rows; ++i, x += columns, out += columns) {
            std::copy_n(x, columns, row.data);
            kernel(row.data, gains.data, biases.data, 1, columns, stored.data);
            std::copy_n(stored.data, columns, out);
        }
    }

    void gelu(const float* x, int count, Store store, Bf16* out) const {
        const auto kernel = by_store(store, gelu_even, gelu_floor, "gelu");
        Tile<float> values;
        Tile<Bf16> stored;
        for (int begin = 0; begin < count; begin += tile_elements) {
            const int part = std::min(tile_elements, count - begin);
            std::copy_n(x + begin, part, values.data);
            kernel(values.data, part, stored.data);
            std::copy_n(stored.data, part, out + begin);
        }
    }
};

KernelModule::KernelModule(const std::string& path)
    : library_(std::make_shared<Library>(path)), functions_(std::make_shared<Functions>()) {
    functions_->each([&](const char* name, auto*& function) { library_->find(name, function); });
    const char* (*level)() = nullptr;
    library_->find("aie_module_level", level);
    level_ = level();
    library_->find("aie_reset_core", functions_->reset.emplace_back());
}

KernelTable KernelModule::table() const {
    const Functions& f = *functions_;
    return {
        .target = level_.c_str(),
        .reset = [&f] { std::ranges::for_each(f.reset, [](const auto& reset) { reset(); }); },
        .start = [&f](auto... arguments) { f.start(arguments...); },
        .multiply = [&f](auto... arguments) { f.multiply(arguments...); },
        .multiply_stored = [&f](auto... arguments) { f.multiply_stored(arguments...); },
        .finish = [&f](auto... arguments) { f.finish(arguments...); },
        .softmax_update = [&f](auto... arguments) { f.update_softmax(arguments...); },
        .softmax_finish = [&f](auto... arguments) { f.finish_softmax(arguments...); },
        .attention_update = [&f](auto... arguments) { f.update_attention(arguments...); },
        .attention_finish = [&f](auto... arguments) { f.finish_attention(arguments...); },
        .layer_norm = [&f](auto... arguments) { f.layer_norm(arguments...); },
        .gelu = [&f](auto... arguments) { f.gelu(arguments...); },
    };
}

void KernelModule::replace(std::string_view role, const std::string& path, const std::string& symbol) {
    if (std::ranges::find(roles(), role) == roles().end()) {
        throw std::invalid_argument("no kernel is called " + std::string(role));
    }
    replacement_ = std::make_shared<Library>(path);
    functions_->each([&](std::string_view name, auto*& function) {
        if (name == role) {
            replacement_->find(symbol, function);
        }
    });
    if (role == "matmul_tile") {
        functions_->matmul_tile_nk = nullptr;
    }
    replacement_->find("aie_reset_core", functions_->reset.emplace_back());
}

std::span<const std::string_view> KernelModule::roles() {
    static const std::vector<std::string_view> names = [] {
        std::vector<std::string_view> list;
        Functions{}.each([&](std::string_view name, auto*) { list.push_back(name); });
        return list;
    }();
    return names;
}

std::span<const std::string_view> x86_64_levels() {
    static const std::vector<std::string_view> levels = [] {
        std::vector<std::string_view> list;
        if (__builtin_cpu_supports("x86-64-v4") != 0) {
            list.push_back("x86-64-v4");
        }
        if (__builtin_cpu_supports("x86-64-v3") != 0) {
            list.push_back("x86-64-v3");
        }
        list.push_back("x86-64-v2");
        return list;
    }();
    return levels;
}

std::string module_file(std::string_view level) {
    return "aie2-" + std::string(level) + ".so";
}

const KernelModule& aie2_module() {
    static const KernelModule module(module_file(x86_64_levels().front()));
    return module;
}

}  // namespace kernels
