// Layer norm of rows and GELU. Included once per vector target by tile_kernels.cpp.
//
// Every multiplication and addition below is one fp32 rounding, and sums run in an order that does not depend
// on the vector width.
#include <cmath>
#include <stdexcept>
#include <string>

#include "kernels/aie2/gelu_table.h"
#include "kernels/vector_convert-inl.hpp"

#if defined(KERNELS_VECTOR_BLOCK_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef KERNELS_VECTOR_BLOCK_INL
#undef KERNELS_VECTOR_BLOCK_INL
#else
#define KERNELS_VECTOR_BLOCK_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace kernels::HWY_NAMESPACE {

constexpr int norm_lanes = 16;

// The sum of term(x[i]) over `columns` values: 16 partial sums of every 16th in ascending order, then halves
// added to halves: 8, 4, 2, 1.
template <typename Term>
HWY_INLINE float sum_of_terms(const float* x, int columns, Term term) {
    const Floats floats;
    HWY_ALIGN float partial[norm_lanes];
    for (int lane = 0; lane < norm_lanes; lane += lanes) {
        FloatVector sum = hn::Zero(floats);
        for (int column = lane; column < columns; column += norm_lanes) {
            sum = hn::Add(sum, term(hn::LoadU(floats, x + column)));
        }
        hn::Store(sum, floats, partial + lane);
    }
    for (int half = norm_lanes / 2; half >= 1; half /= 2) {
        for (int lane = 0; lane < half; ++lane) {
            partial[lane] += partial[lane + half];
        }
    }
    return partial[0];
}

template <Store store>
HWY_INLINE void normalise_row(const float* x, const std::uint16_t* gain, const std::uint16_t* bias,
                              int columns, std::uint16_t* out) {
    const Floats floats;
    const float count = static_cast<float>(columns);
    const float mean = sum_of_terms(x, columns, [](FloatVector value) HWY_ATTR { return value; }) / count;
    const FloatVector means = hn::Set(floats, mean);
    const float squares = sum_of_terms(x, columns, [&](FloatVector value) HWY_ATTR {
        const FloatVector difference = hn::Sub(value, means);
        return hn::Mul(difference, difference);
    });
    const FloatVector inverse = hn::Set(floats, 1.0F / std::sqrt(squares / count + 1e-5F));
    for (int column = 0; column < columns; column += lanes) {
        const FloatVector difference = hn::Sub(hn::LoadU(floats, x + column), means);
        const FloatVector scaled = hn::Mul(hn::Mul(difference, inverse), load_bf16(gain + column));
        store_halves(round_bf16<store>(hn::Add(scaled, load_bf16(bias + column))), out + column);
    }
}

// Of three numbers, that of each lane's piece of [0, 5).
HWY_INLINE FloatVector of_piece(FloatMask second_up, FloatMask third,
                                const float (&numbers)[aie2::gelu_table::pieces]) {
    const Floats floats;
    const FloatVector first_two =
        hn::IfThenElse(second_up, hn::Set(floats, numbers[1]), hn::Set(floats, numbers[0]));
    return hn::IfThenElse(third, hn::Set(floats, numbers[2]), first_two);
}

HWY_INLINE FloatVector gelu_of(FloatVector x) {
    namespace table = aie2::gelu_table;
    const Floats floats;
    const FloatVector magnitude = hn::Abs(x);
    const FloatMask negative = hn::Lt(x, hn::Zero(floats));
    const FloatMask far = hn::Ge(magnitude, hn::Set(floats, 5.0F));
    const FloatVector near = hn::IfThenElse(far, hn::Zero(floats), magnitude);
    const FloatMask second_up = hn::Ge(near, hn::Set(floats, 1.5F));
    const FloatMask third = hn::Ge(near, hn::Set(floats, 3.25F));
    const FloatVector u = hn::Sub(near, of_piece(second_up, third, table::centres));
    FloatVector tail = of_piece(second_up, third, table::coefficients[table::degree]);
    for (unsigned k = table::degree; k > 0; --k) {
        tail = hn::Add(hn::Mul(tail, u), of_piece(second_up, third, table::coefficients[k - 1]));
    }
    const FloatVector phi = hn::IfThenElse(negative, tail, hn::Sub(hn::Set(floats, 1.0F), tail));
    const FloatVector beyond = hn::IfThenElse(negative, hn::Zero(floats), x);
    return hn::IfThenElse(far, beyond, hn::Mul(x, phi));
}

// Runs work<store>() for the bf16 modes.
template <typename Work>
HWY_INLINE void with_bf16_store(Store store, const char* kernel, Work work) {
    switch (store) {
        case Store::bf16_nearest_even:
            return work.template operator()<Store::bf16_nearest_even>();
        case Store::bf16_toward_zero:
            return work.template operator()<Store::bf16_toward_zero>();
        case Store::bf16_floor:
            return work.template operator()<Store::bf16_floor>();
        case Store::f32:
            break;
    }
    throw std::invalid_argument(std::string(kernel) + ": results leave the core as bf16, not as fp32");
}

void layer_norm(const float* x, const std::uint16_t* gain, const std::uint16_t* bias, int rows, int columns,
                Store store, std::uint16_t* out) {
    with_bf16_store(store, "layer_norm", [&]<Store chosen>() HWY_ATTR {
        for (int row = 0; row < rows; ++row) {
            normalise_row<chosen>(x + row * columns, gain, bias, columns, out + row * columns);
        }
    });
}

void gelu(const float* x, int count, Store store, std::uint16_t* out) {
    with_bf16_store(store, "gelu", [&]<Store chosen>() HWY_ATTR {
        for (int i = 0; i < count; i += lanes) {
            store_halves(round_bf16<chosen>(gelu_of(hn::LoadU(Floats(), x + i))), out + i);
        }
    });
}

}  // namespace kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
