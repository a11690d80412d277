#include "harness/mann_whitney.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace harness {
namespace {

struct Ranked {
    double rank_sum = 0;    // of the first sample
    double tie_excess = 0;  // sum of t^3 - t over groups of t equal values
};

Ranked rank(std::span<const double> first, std::span<const double> second) {
    struct Value {
        double value;
        bool first;
    };
    std::vector<Value> all;
    all.reserve(first.size() + second.size());
    for (const double value : first) {
        all.push_back({value, true});
    }
    for (const double value : second) {
        all.push_back({value, false});
    }
    std::ranges::sort(all, {}, &Value::value);
    Ranked out;
    for (auto begin = all.begin(); begin != all.end();) {
        const auto end =
            std::find_if(begin, all.end(), [&](const Value& other) { return other.value != begin->value; });
        const double equal = double(end - begin);
        const double mean_rank = double(begin - all.begin()) + (equal + 1) / 2;
        out.rank_sum += mean_rank * double(std::count_if(begin, end, [](const Value& v) { return v.first; }));
        out.tie_excess += equal * equal * equal - equal;
        begin = end;
    }
    return out;
}

// How many of the orders of n and m values give each U: the coefficients of the Gaussian binomial
// [n+m choose n] in q, built up factor by factor, (1 - q^(m+i)) / (1 - q^i). Exact up to most_exact.
std::vector<double> orders_by_u(std::size_t n, std::size_t m) {
    const std::size_t most = n * m;
    std::vector<double> counts(most + 1, 0.0);
    counts[0] = 1;
    for (std::size_t i = 1; i <= n; ++i) {
        for (std::size_t u = most; u >= m + i; --u) {
            counts[u] -= counts[u - m - i];
        }
        for (std::size_t u = i; u <= most; ++u) {
            counts[u] += counts[u - i];
        }
    }
    return counts;
}

double exact_p(double u, std::size_t n, std::size_t m) {
    const std::vector<double> counts = orders_by_u(n, m);
    const auto tail = static_cast<std::ptrdiff_t>(std::min(u, double(n * m) - u));
    const double below = std::accumulate(counts.begin(), counts.begin() + tail + 1, 0.0);
    return std::min(1.0, 2 * below / std::accumulate(counts.begin(), counts.end(), 0.0));
}

double normal_p(double u, double n, double m, double tie_excess) {
    const double total = n + m;
    const double variance = n * m / 12 * (total + 1 - tie_excess / (total * (total - 1)));
    if (variance <= 0) {
        return 1;  // every value is the same
    }
    const double z = std::max(0.0, std::abs(u - n * m / 2) - 0.5) / std::sqrt(variance);
    return std::min(1.0, std::erfc(z / std::numbers::sqrt2));
}

}  // namespace

RankSum mann_whitney(std::span<const double> first, std::span<const double> second) {
    const std::size_t n = first.size();
    const std::size_t m = second.size();
    if (n == 0 || m == 0) {
        return {};
    }
    const Ranked ranked = rank(first, second);
    const double u = ranked.rank_sum - double(n) * double(n + 1) / 2;
    const bool exact = ranked.tie_excess == 0 && n + m <= most_exact;
    return {u, exact ? exact_p(u, n, m) : normal_p(u, double(n), double(m), ranked.tie_excess)};
}

double least_p(std::size_t first, std::size_t second) {
    if (first == 0 || second == 0) {
        return 1;
    }
    return first + second <= most_exact ? exact_p(0, first, second)
                                        : normal_p(0, double(first), double(second), 0);
}

std::vector<double> holm(std::span<const double> p) {
    std::vector<std::size_t> order(p.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t index) { return p[index]; });
    std::vector<double> adjusted(p.size());
    double largest = 0;
    for (std::size_t place = 0; place < order.size(); ++place) {
        largest = std::max(largest, std::min(1.0, double(p.size() - place) * p[order[place]]));
        adjusted[order[place]] = largest;
    }
    return adjusted;
}

}  // namespace harness
