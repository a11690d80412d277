// Matrix products of the reference, and which library computes them. The only door to BLAS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace reference {

// A read-only row-major matrix; `stride` counts elements from one row to the next.
template <typename T>
struct ConstMatrix {
    const T* data = nullptr;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t stride = 0;

    [[nodiscard]] std::span<const T> row(std::int64_t index) const {
        return {data + index * stride, static_cast<std::size_t>(columns)};
    }
    [[nodiscard]] ConstMatrix block(std::int64_t begin, std::int64_t count) const {
        return {data + begin * stride, count, columns, stride};
    }
    [[nodiscard]] ConstMatrix slice(std::int64_t begin, std::int64_t count) const {
        return {data + begin, rows, count, stride};
    }
};

// The same, writable. `block` selects rows, `slice` columns.
template <typename T>
struct Matrix {
    T* data = nullptr;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t stride = 0;

    operator ConstMatrix<T>() const { return {data, rows, columns, stride}; }
    [[nodiscard]] std::span<T> row(std::int64_t index) const {
        return {data + index * stride, static_cast<std::size_t>(columns)};
    }
    [[nodiscard]] Matrix block(std::int64_t begin, std::int64_t count) const {
        return {data + begin * stride, count, columns, stride};
    }
    [[nodiscard]] Matrix slice(std::int64_t begin, std::int64_t count) const {
        return {data + begin, rows, count, stride};
    }
};

// A dense matrix over `data`, which holds rows x columns elements.
template <typename T>
ConstMatrix<T> dense(const T* data, std::int64_t rows, std::int64_t columns) {
    return {data, rows, columns, columns};
}
template <typename T>
Matrix<T> dense(T* data, std::int64_t rows, std::int64_t columns) {
    return {data, rows, columns, columns};
}

enum class Transpose : std::uint8_t { no, yes };

// c = alpha op(a) op(b) + beta c, where op transposes as `left` and `right` say. beta = 0 overwrites c, NaN
// included. Runs on the calling thread alone, whatever OPENBLAS_NUM_THREADS says, and is safe to call
// concurrently. The order of summation is the library's own; it depends on the shapes, never on the number of
// threads. Throws std::invalid_argument where the shapes do not fit.
void gemm(Transpose left, Transpose right, float alpha, ConstMatrix<float> a, ConstMatrix<float> b,
          float beta, Matrix<float> c);
void gemm(Transpose left, Transpose right, double alpha, ConstMatrix<double> a, ConstMatrix<double> b,
          double beta, Matrix<double> c);

// c = alpha a b + beta c, in parts of rows or columns that the library multiplies without packing its factors
// first, where it can: with the kernels for AVX-512, OpenBLAS does so up to 10^6 products of one call
// (kernel/x86_64/dgemm_small_kernel_permit_skylakex.c). Of 64 rows, packing takes a fifth of the time. The
// order of summation may be another than that of `gemm`. Throws as `gemm`.
void gemm_in_parts(float alpha, ConstMatrix<float> a, ConstMatrix<float> b, float beta, Matrix<float> c);
void gemm_in_parts(double alpha, ConstMatrix<double> a, ConstMatrix<double> b, double beta, Matrix<double> c);

// Identity of the library, for the run record: golden bits may differ per core type.
struct BlasInfo {
    std::string name;       // of the library, e.g. "OpenBLAS 0.3.21"
    std::string core_type;  // the kernel set that was chosen for this CPU
    std::string config;     // the library's own description of its build
};

BlasInfo blas_info();

}  // namespace reference
