// OpenBLAS is loaded when the program starts, not linked: it picks its kernels once, while it is loaded, from
// a list of CPU models, and gives a CPU that is newer than the list the kernels of SSE3 (OpenBLAS 0.3.21 on
// an Emerald Rapids Xeon: 8 times slower; Zen 5 is not on that list either). A golden path that slow would
// flatter every other path. So the kernels are named here, by what the CPU can do, through the library's
// documented OPENBLAS_CORETYPE.
#include "reference/blas.hpp"

#include <cblas.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

namespace reference {
namespace {

constexpr const char* soname = "libopenblas.so.0";
constexpr const char* choice = "OPENBLAS_CORETYPE";

// The newest kernel set that this CPU can run, or null: let the library choose.
const char* kernels_for_this_cpu() {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
        return "SkylakeX";
    }
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "Haswell" : nullptr;
}

void* load_library() {
    const char* kernels = kernels_for_this_cpu();
    const bool ours = kernels != nullptr && std::getenv(choice) == nullptr;
    if (ours) {
        setenv(choice, kernels, 0);
    }
    void* library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (ours) {
        unsetenv(choice);
    }
    return library;
}

struct Library {
    std::string fault;  // empty: loaded
    decltype(&cblas_sgemm) sgemm = nullptr;
    decltype(&cblas_dgemm) dgemm = nullptr;
    decltype(&openblas_get_config) config = nullptr;
    decltype(&openblas_get_corename) core_name = nullptr;

    Library() {
        void* library = load_library();
        decltype(&openblas_set_num_threads) set_threads = nullptr;
        if (library != nullptr && find(library, "cblas_sgemm", sgemm) &&
            find(library, "cblas_dgemm", dgemm) && find(library, "openblas_get_config", config) &&
            find(library, "openblas_get_corename", core_name) &&
            find(library, "openblas_set_num_threads", set_threads)) {
            // The callers are parallel already: a team of threads inside each product would only get in their
            // way.
            set_threads(1);
            return;
        }
        const char* reason = dlerror();
        fault = std::string("BLAS cannot be used: ") + (reason != nullptr ? reason : soname);
    }

    template <typename Function>
    static bool find(void* library, const char* symbol, Function& function) {
        function = reinterpret_cast<Function>(dlsym(library, symbol));
        return function != nullptr;
    }
};

// Before main, while there is one thread: naming the kernels touches the environment.
const Library at_start;  // NOLINT(cert-err58-cpp): keeps its fault for the first caller

const Library& blas() {
    if (!at_start.fault.empty()) {
        throw std::runtime_error(at_start.fault);
    }
    return at_start;
}

CBLAS_TRANSPOSE to_cblas(Transpose transpose) {
    return transpose == Transpose::yes ? CblasTrans : CblasNoTrans;
}

struct Shape {
    std::int64_t rows;
    std::int64_t columns;
};

template <typename T>
Shape shape_of(Transpose transpose, const ConstMatrix<T>& matrix) {
    return transpose == Transpose::yes ? Shape{matrix.columns, matrix.rows}
                                       : Shape{matrix.rows, matrix.columns};
}

template <typename T>
bool holds(const ConstMatrix<T>& matrix) {
    return matrix.stride >= matrix.columns && matrix.stride <= std::numeric_limits<blasint>::max() &&
           matrix.rows <= std::numeric_limits<blasint>::max();
}

template <typename T, typename Function>
void checked_gemm(Function function, Transpose left, Transpose right, T alpha, ConstMatrix<T> a,
                  ConstMatrix<T> b, T beta, Matrix<T> c) {
    const auto [m, k] = shape_of(left, a);
    const auto [k_right, n] = shape_of(right, b);
    if (k != k_right || c.rows != m || c.columns != n || !holds(a) || !holds(b) ||
        !holds(ConstMatrix<T>(c))) {
        throw std::invalid_argument("the shapes of a matrix product do not fit");
    }
    if (m == 0 || n == 0) {
        return;
    }
    function(CblasRowMajor, to_cblas(left), to_cblas(right), static_cast<blasint>(m), static_cast<blasint>(n),
             static_cast<blasint>(k), alpha, a.data, static_cast<blasint>(a.stride), b.data,
             static_cast<blasint>(b.stride), beta, c.data, static_cast<blasint>(c.stride));
}

// Products of one call that need no packing.
std::int64_t unpacked_products() {
    static const bool small_kernels = std::string_view(blas().core_name()) == "SkylakeX";
    return small_kernels ? 1'000'000 : 0;
}

// How many rows or columns of c make one part: all of them where a part would be too narrow for the kernels.
std::int64_t part_size(std::int64_t whole, std::int64_t products_each, std::int64_t least) {
    constexpr std::int64_t lanes = 8;
    const std::int64_t fitting = unpacked_products() / std::max<std::int64_t>(products_each, 1);
    return fitting < least ? whole : std::min(whole, fitting / lanes * lanes);
}

template <typename T>
void split_gemm(T alpha, ConstMatrix<T> a, ConstMatrix<T> b, T beta, Matrix<T> c) {
    const bool by_rows = c.rows >= c.columns;
    const std::int64_t whole = by_rows ? c.rows : c.columns;
    const std::int64_t part =
        by_rows ? part_size(whole, a.columns * c.columns, 8) : part_size(whole, a.columns * c.rows, 64);
    if (part == whole || a.rows != c.rows || b.columns != c.columns) {
        return gemm(Transpose::no, Transpose::no, alpha, a, b, beta, c);
    }
    for (std::int64_t first = 0; first < whole; first += part) {
        const std::int64_t count = std::min(part, whole - first);
        if (by_rows) {
            gemm(Transpose::no, Transpose::no, alpha, a.block(first, count), b, beta, c.block(first, count));
        } else {
            gemm(Transpose::no, Transpose::no, alpha, a, b.slice(first, count), beta, c.slice(first, count));
        }
    }
}

}  // namespace

void gemm(Transpose left, Transpose right, float alpha, ConstMatrix<float> a, ConstMatrix<float> b,
          float beta, Matrix<float> c) {
    checked_gemm(blas().sgemm, left, right, alpha, a, b, beta, c);
}

void gemm(Transpose left, Transpose right, double alpha, ConstMatrix<double> a, ConstMatrix<double> b,
          double beta, Matrix<double> c) {
    checked_gemm(blas().dgemm, left, right, alpha, a, b, beta, c);
}

void gemm_in_parts(float alpha, ConstMatrix<float> a, ConstMatrix<float> b, float beta, Matrix<float> c) {
    split_gemm(alpha, a, b, beta, c);
}

void gemm_in_parts(double alpha, ConstMatrix<double> a, ConstMatrix<double> b, double beta,
                   Matrix<double> c) {
    split_gemm(alpha, a, b, beta, c);
}

BlasInfo blas_info() {
    const Library& library = blas();
    const std::string config = library.config();
    // The description begins with name and version: "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...".
    const auto name_end = config.find(' ');
    const auto version_end = config.find(' ', name_end == std::string::npos ? 0 : name_end + 1);
    return {config.substr(0, version_end), library.core_name(), config};
}

}  // namespace reference
