// Iterators over an array in memory, vector by vector: plain, restrict, unaligned and circular.
//
// Names and template parameters: Xilinx/aie_api iterator.hpp and aie.hpp, group_memory. What `*it` gives for
// a mutable array is the vector, loaded, whose assignment also stores: loads and stores are those of
// `vector`, so that an address the hardware would cut down is refused here.
#pragma once

#include <cstddef>
#include <iterator>
#include <limits>
#include <type_traits>

#include "aie_api/detail/vector.hpp"

namespace aie {

inline constexpr std::size_t dynamic_extent = std::numeric_limits<std::size_t>::max();

namespace detail {

enum class Alignment { vector, element };

template <Alignment alignment, typename T, unsigned N>
vector<T, N> loaded(const T* pointer) {
    vector<T, N> v;
    if constexpr (alignment == Alignment::vector) {
        v.load(pointer);
    } else {
        v.load_unaligned(pointer);
    }
    return v;
}

// The vector at an address. Reading takes it as it was when the iterator was dereferenced; only assignment
// writes to memory, so the members that change a vector in place are not offered.
template <typename T, unsigned N, Alignment alignment>
class VectorInMemory : public vector<T, N> {
public:
    explicit VectorInMemory(T* pointer) : vector<T, N>(loaded<alignment, T, N>(pointer)), pointer_(pointer) {}
    VectorInMemory(const VectorInMemory&) = default;

    VectorInMemory& operator=(const vector<T, N>& v) {
        vector<T, N>::operator=(v);
        if constexpr (alignment == Alignment::vector) {
            v.store(pointer_);
        } else {
            v.store_unaligned(pointer_);
        }
        return *this;
    }
    VectorInMemory& operator=(const VectorInMemory& other) {
        return *this = static_cast<const vector<T, N>&>(other);
    }

    template <typename... Arguments>
    void insert(Arguments...) = delete;
    template <typename... Arguments>
    void push(Arguments...) = delete;
    template <typename... Arguments>
    void set(Arguments...) = delete;
    T operator[](unsigned lane) const { return this->get(lane); }

private:
    T* pointer_;
};

// `it->member()` on a value that lives as long as the expression.
template <typename Value>
struct Arrow {
    Value value;
    Value* operator->() { return &value; }
};

template <typename T, unsigned N, Alignment alignment>
auto dereferenced(T* pointer) {
    if constexpr (std::is_const_v<T>) {
        return loaded<alignment, std::remove_const_t<T>, N>(pointer);
    } else {
        return VectorInMemory<T, N, alignment>(pointer);
    }
}

template <typename T, unsigned N, Alignment alignment>
class ArrayIterator {
public:
    using value_type = vector<std::remove_const_t<T>, N>;
    using reference = decltype(dereferenced<T, N, alignment>(nullptr));
    using pointer = Arrow<reference>;
    using iterator_category = std::random_access_iterator_tag;
    using difference_type = std::ptrdiff_t;

    constexpr ArrayIterator() = default;
    constexpr explicit ArrayIterator(T* base) : at_(base) {}

    constexpr ArrayIterator& operator++() { return *this += 1; }
    constexpr ArrayIterator& operator--() { return *this -= 1; }
    constexpr ArrayIterator operator++(int) {
        const ArrayIterator before = *this;
        ++*this;
        return before;
    }
    constexpr ArrayIterator operator--(int) {
        const ArrayIterator before = *this;
        --*this;
        return before;
    }
    constexpr ArrayIterator& operator+=(difference_type vectors) {
        at_ += vectors * static_cast<difference_type>(N);
        return *this;
    }
    constexpr ArrayIterator& operator-=(difference_type vectors) { return *this += -vectors; }
    friend constexpr ArrayIterator operator+(ArrayIterator it, difference_type vectors) {
        return it += vectors;
    }
    friend constexpr ArrayIterator operator-(ArrayIterator it, difference_type vectors) {
        return it -= vectors;
    }
    friend constexpr difference_type operator-(ArrayIterator a, ArrayIterator b) {
        return (a.at_ - b.at_) / static_cast<difference_type>(N);
    }

    reference operator*() const { return dereferenced<T, N, alignment>(at_); }
    pointer operator->() const { return pointer{**this}; }
    reference operator[](difference_type vectors) const { return *(*this + vectors); }

    constexpr auto operator<=>(const ArrayIterator&) const = default;

private:
    T* at_ = nullptr;
};

// An array whose end is followed by its begin.
template <typename T, unsigned N>
class CircularIterator {
public:
    using value_type = vector<std::remove_const_t<T>, N>;
    using reference = decltype(dereferenced<T, N, Alignment::vector>(nullptr));
    using pointer = Arrow<reference>;
    using iterator_category = std::forward_iterator_tag;
    using difference_type = std::ptrdiff_t;

    CircularIterator(T* base, std::size_t elements) : base_(base), vectors_(elements / N) {
        require(vectors_ > 0 && elements % N == 0, "a circular array must hold a whole number of vectors");
    }

    CircularIterator& operator++() { return *this += 1; }
    CircularIterator& operator--() { return *this -= 1; }
    CircularIterator operator++(int) {
        const CircularIterator before = *this;
        ++*this;
        return before;
    }
    CircularIterator& operator+=(difference_type vectors) {
        const auto size = static_cast<difference_type>(vectors_);
        const difference_type moved = (static_cast<difference_type>(index_) + vectors) % size;
        index_ = static_cast<std::size_t>(moved < 0 ? moved + size : moved);
        return *this;
    }
    CircularIterator& operator-=(difference_type vectors) { return *this += -vectors; }
    friend CircularIterator operator+(CircularIterator it, difference_type vectors) { return it += vectors; }
    friend CircularIterator operator-(CircularIterator it, difference_type vectors) { return it -= vectors; }

    reference operator*() const { return dereferenced<T, N, Alignment::vector>(base_ + index_ * N); }
    pointer operator->() const { return pointer{**this}; }
    reference operator[](difference_type vectors) const { return *(*this + vectors); }

    bool operator==(const CircularIterator&) const = default;

private:
    T* base_;
    std::size_t vectors_;
    std::size_t index_ = 0;
};

}  // namespace detail

template <typename T, unsigned N, aie_dm_resource resource = aie_dm_resource::none>
using vector_iterator = detail::ArrayIterator<T, N, detail::Alignment::vector>;
template <typename T, unsigned N, aie_dm_resource resource = aie_dm_resource::none>
using const_vector_iterator = vector_iterator<const T, N>;
template <typename T, unsigned N, aie_dm_resource resource = aie_dm_resource::none>
using restrict_vector_iterator = vector_iterator<T, N>;
template <typename T, unsigned N, aie_dm_resource resource = aie_dm_resource::none>
using const_restrict_vector_iterator = vector_iterator<const T, N>;
template <typename T, unsigned N, aie_dm_resource resource = aie_dm_resource::none>
using unaligned_vector_iterator = detail::ArrayIterator<T, N, detail::Alignment::element>;
template <typename T, unsigned N, aie_dm_resource resource = aie_dm_resource::none>
using const_unaligned_vector_iterator = unaligned_vector_iterator<const T, N>;

// From `base`, N elements at a step. `restrict` and the memory bank are hints to the compiler for the array.
template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
constexpr vector_iterator<T, N> begin_vector(T* base) {
    return vector_iterator<T, N>(base);
}
template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
constexpr const_vector_iterator<T, N> cbegin_vector(const T* base) {
    return const_vector_iterator<T, N>(base);
}
template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
constexpr restrict_vector_iterator<T, N> begin_restrict_vector(T* base) {
    return restrict_vector_iterator<T, N>(base);
}
template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
constexpr const_restrict_vector_iterator<T, N> cbegin_restrict_vector(const T* base) {
    return const_restrict_vector_iterator<T, N>(base);
}
template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
constexpr unaligned_vector_iterator<T, N> begin_unaligned_vector(T* base) {
    return unaligned_vector_iterator<T, N>(base);
}
template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
constexpr const_unaligned_vector_iterator<T, N> cbegin_unaligned_vector(const T* base) {
    return const_unaligned_vector_iterator<T, N>(base);
}

// Without end, over `elements` elements (or the whole array, or the number given as template argument).
template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
detail::CircularIterator<T, N> begin_vector_circular(T* base, std::size_t elements) {
    return detail::CircularIterator<T, N>(base, elements);
}
template <unsigned N, std::size_t elements, aie_dm_resource resource = aie_dm_resource::none, typename T>
detail::CircularIterator<T, N> begin_vector_circular(T* base) {
    return detail::CircularIterator<T, N>(base, elements);
}
template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
detail::CircularIterator<const T, N> cbegin_vector_circular(const T* base, std::size_t elements) {
    return detail::CircularIterator<const T, N>(base, elements);
}
template <unsigned N, std::size_t elements, aie_dm_resource resource = aie_dm_resource::none, typename T>
detail::CircularIterator<const T, N> cbegin_vector_circular(const T* base) {
    return detail::CircularIterator<const T, N>(base, elements);
}
template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
detail::CircularIterator<T, N> begin_vector_random_circular(T* base, std::size_t elements) {
    return detail::CircularIterator<T, N>(base, elements);
}
template <unsigned N, std::size_t elements, aie_dm_resource resource = aie_dm_resource::none, typename T>
detail::CircularIterator<T, N> begin_vector_random_circular(T* base) {
    return detail::CircularIterator<T, N>(base, elements);
}
template <unsigned N, aie_dm_resource resource = aie_dm_resource::none, typename T>
detail::CircularIterator<const T, N> cbegin_vector_random_circular(const T* base, std::size_t elements) {
    return detail::CircularIterator<const T, N>(base, elements);
}

template <typename T = void, typename... Arguments>
auto make_tensor_buffer_stream(Arguments&&...) {
    static_assert(detail::unsupported<Arguments...>,
                  "aie: tensor buffer streams are not supported on the host");
}
template <typename T = void, typename... Arguments>
auto make_restrict_tensor_buffer_stream(Arguments&&...) {
    static_assert(detail::unsupported<Arguments...>,
                  "aie: tensor buffer streams are not supported on the host");
}

}  // namespace aie
